"""Tokens over the management API. Rows are those of the contract's black-box table."""

import io
import json
import logging
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from accounts.models import Allowance
from gateway.models import Token, Upstream
from gateway.tokens import digest
from tests.gateway.test_manage_projects import UNKNOWN, token_of

pytestmark = pytest.mark.django_db
DAY = 24 * 60


def minutes_left(token: dict) -> float:
    left = datetime.fromisoformat(token["expires_at"]) - datetime.now(UTC)
    return left / timedelta(minutes=1)


@pytest.mark.parametrize(
    ("lifetime", "minutes"),
    [
        ({"duration_minutes": 1}, 1),
        ({"duration_minutes": 525_600}, 525_600),
        ({"duration_hours": 24}, DAY),
        ({"expires_in_days": 30}, 30 * DAY),
    ],
)
def test_row_8_token_is_issued_with_each_spelling_of_its_lifetime(
    manager, managed, lifetime, minutes
):
    body = {"project_id": managed["id"], **lifetime}

    token = manager.send("POST", "/manage/tokens", body, expect=201)

    assert re.fullmatch(r"sk-[A-Za-z0-9_-]{22}", token["token"])
    assert minutes - 1 < minutes_left(token) <= minutes
    row = Token.objects.get()
    assert str(row.id) == token["id"] and bytes(row.digest) == digest(token["token"])
    assert token["token"] not in str(Token.objects.values())


def test_token_may_live_for_ever(manager, managed):
    body = {"project_id": managed["id"], "expires_in_days": 0}
    assert manager.send("POST", "/manage/tokens", body, expect=201)["expires_at"] is None
    assert Token.objects.get().expires_at is None


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({}, "duration_minutes"),
        ({"duration_minutes": 0}, "duration_minutes"),
        ({"duration_minutes": -1}, "duration_minutes"),
        ({"duration_minutes": 525_601}, "duration_minutes"),
        ({"duration_minutes": 1.5}, "duration_minutes"),
        ({"duration_hours": 0}, "duration_hours"),
        ({"expires_in_days": -1}, "expires_in_days"),
        ({"duration_minutes": 60, "duration_hours": 1}, "duration_minutes"),
        ({"duration_hours": 1, "expires_in_days": 0}, "duration_minutes"),
        ({"duration_hours": 1, "max_requests": -1}, "max_requests"),
        ({"duration_hours": 1, "requests_per_minute": 2**31}, "requests_per_minute"),
        ({"duration_hours": 1, "budget_usd": 0}, "budget_usd"),
        ({"duration_hours": 1, "budget_usd": "much"}, "budget_usd"),
        ({"duration_hours": 1, "budget_usd": 1e-13}, "budget_usd"),
        ({"duration_hours": True}, "duration_hours"),
        ({"expires_in_days": False}, "expires_in_days"),
        ({"duration_hours": 1, "max_requests": True}, "max_requests"),
        ({"duration_hours": 1, "requests_per_minute": False}, "requests_per_minute"),
        ({"duration_hours": 1, "allowed_models": "gpt-4o"}, "allowed_models"),
        ({"duration_hours": 1, "allowed_models": ["two words"]}, "allowed_models"),
        ({"duration_hours": 1, "allowed_endpoints": ["v1/chat"]}, "allowed_endpoints"),
        ({"duration_hours": 1, "allowed_origins": ["app.example.com"]}, "allowed_origins"),
        *(
            ({"duration_hours": 1, "allowed_origins": [origin]}, "allowed_origins")
            for origin in ("*", "null", "https://*.example.com", "https://a@b", "https://ä.test")
        ),
        ({"duration_hours": 1, "upstream": "a b"}, "upstream"),
        ({"duration_hours": 1, "name": "x" * 256}, "name"),
        ({"duration_hours": 1, "project_id": "x"}, "project_id"),
        ({"duration_hours": 1, "project_id": None}, "project_id"),
        *(
            ({"duration_hours": 1, name: 1}, name)
            for name in ("budget_us", "max_request", "maxRequests", "is_active", "expires_at")
        ),
    ],
    ids=str,
)
def test_row_8_bad_token_is_400_that_names_the_field(manager, managed, members, field):
    body = {"project_id": managed["id"], **members}
    reply = manager.send("POST", "/manage/tokens", body, expect=400)
    assert [name.split(".")[0] for name in reply["fields"]] == [field]
    assert not Token.objects.exists() and not Allowance.objects.exists()


def test_row_8_token_of_an_unknown_project_is_404(manager):
    body = {"project_id": UNKNOWN, "duration_hours": 1}
    reply = manager.send("POST", "/manage/tokens", body, expect=404)
    assert reply == {"error": "project not found", "code": "not_found"}


def test_refused_pattern_is_answered_with_an_example(manager, managed):
    limits = {"allowed_models": ["a\n"], "allowed_endpoints": ["v1"], "allowed_origins": ["foo"]}
    body = {"project_id": managed["id"], "duration_hours": 1, **limits}
    assert manager.send("POST", "/manage/tokens", body, expect=400)["fields"] == {
        "allowed_models.0": "Input should be a pattern without blanks such as gpt-4o*",
        "allowed_endpoints.0": "Input should be a path such as /v1/chat/*",
        "allowed_origins.0": "Input should be an origin such as https://app.example.com",
    }


def test_upstream_that_is_not_configured_is_refused(manager, managed):
    fault = "There is no upstream 'typo'; there are groq, openai"
    Upstream.objects.create(name="groq", base_url="https://api.groq.com/openai/v1")
    body = {"project_id": managed["id"], "duration_hours": 1, "upstream": "typo"}
    refused = manager.send("POST", "/manage/tokens", body, expect=400)
    assert refused["fields"] == {"upstream": fault}
    token = token_of(manager, managed["id"], upstream="groq")
    path = f"/manage/tokens/{token['id']}"
    assert manager.send("PATCH", path, {"upstream": "typo"}, expect=400) == refused
    Upstream.objects.all().delete()
    assert manager.send("PATCH", path, {"upstream": "groq", "name": "same"})["name"] == "same"
    assert manager.send("PATCH", path, {"upstream": None})["upstream"] == ""
    assert Allowance.objects.count() == 1


def test_limits_are_stored_where_calls_are_counted(manager, managed):
    limits = {
        "name": "nightly",
        "upstream": "openai",
        "max_requests": 3,
        "requests_per_minute": 60,
        "budget_usd": 0.1,
        "allowed_models": ["gpt-4o*"],
        "allowed_endpoints": ["/v1/chat/*"],
        "allowed_origins": ["https://app.example.com"],
    }

    token = token_of(manager, managed["id"], **limits)

    assert {name: token[name] for name in limits} == limits
    assert token["remaining"] == {"requests": 3, "requests_this_minute": 60, "budget_usd": 0.1}
    row = Token.objects.select_related("allowance").get()
    assert (row.allowance.max_requests, row.allowance.requests_per_minute) == (3, 60)
    assert row.allowance.budget_usd == Decimal("0.1")
    assert (row.allowed_models, row.upstream) == (["gpt-4o*"], "openai")


def test_zero_requests_and_empty_lists_are_no_limits(manager, managed):
    token = token_of(manager, managed["id"], max_requests=0, allowed_models=[], name=None)
    assert (token["max_requests"], token["allowed_models"], token["name"]) == (None, None, "")
    assert token["remaining"] == dict.fromkeys(("requests", "requests_this_minute", "budget_usd"))


def test_row_9_list_shows_masks_and_counts(manager, managed):
    first, second = (token_of(manager, managed["id"]) for _ in range(2))

    listed = manager.read("/manage/tokens")

    assert [token["id"] for token in listed] == [second["id"], first["id"]]
    text = first["token"]
    assert listed[1]["token"] == f"{text[:7]}{'*' * 14}{text[-4:]}"
    assert listed[1] == {**first, "token": listed[1]["token"]}
    assert text not in json.dumps(listed) and listed[1]["request_count"] == 0


def test_row_9_list_is_filtered_by_every_spelling(manager, managed):
    other = manager.send("POST", "/manage/projects", {"name": "other"}, expect=201)
    ours, theirs = token_of(manager, managed["id"]), token_of(manager, other["id"])
    expired = token_of(manager, other["id"])
    past = {"expires_at": "2026-01-01T00:00:00Z"}
    manager.send("PATCH", f"/manage/tokens/{expired['id']}", past)
    manager.send("DELETE", f"/manage/tokens/{ours['id']}", expect=204)

    def ids(**query) -> set[str]:
        return {token["id"] for token in manager.read("/manage/tokens", query)}

    for name in ("projectId", "project_id"):
        assert ids(**{name: managed["id"]}) == {ours["id"]}
        assert ids(**{name: other["id"]}) == {theirs["id"], expired["id"]}
        assert ids(**{name: UNKNOWN}) == set()
        manager.read("/manage/tokens", {name: "x"}, expect=400)
    for name in ("activeOnly", "active_only"):
        assert ids(**{name: "true"}) == {theirs["id"]}
        assert len(ids(**{name: "false"})) == 3
    conflict = {"projectId": managed["id"], "project_id": other["id"]}
    manager.read("/manage/tokens", conflict, expect=400)
    for limit in ("0", "-1", "1001", "x"):
        manager.read("/manage/tokens", {"limit": limit}, expect=400)


def test_row_10_token_is_found_by_id_and_by_its_own_text(manager, managed):
    token = token_of(manager, managed["id"])
    for name in (token["id"], token["token"]):
        found = manager.read(f"/manage/tokens/{name}")
        assert found["id"] == token["id"] and found["cache_hit_count"] == 0
        assert token["token"] not in json.dumps(found)
    for name in (UNKNOWN, "sk-" + "A" * 22, "x", "%00", "é"):
        reply = manager.read(f"/manage/tokens/{name}", expect=404)
        assert reply == {"error": "token not found", "code": "not_found"}


@pytest.mark.parametrize("by", ["id", "token"])
def test_row_11_delete_revokes_as_often_as_it_is_sent(manager, managed, by):
    token = token_of(manager, managed["id"])
    manager.send("DELETE", f"/manage/tokens/{token[by]}", expect=204)
    revoked_at = Token.objects.get().revoked_at
    assert revoked_at is not None
    manager.send("DELETE", f"/manage/tokens/{token[by]}", expect=204)
    assert Token.objects.get().revoked_at == revoked_at
    manager.send("DELETE", f"/manage/tokens/{UNKNOWN}", expect=404)


def test_patch_changes_limits_and_never_counters(manager, managed):
    token = token_of(manager, managed["id"], max_requests=3, budget_usd=1)
    used = {"requests": 2, "spent_usd": Decimal("0.25"), "reserved_usd": Decimal("0.5")}
    Allowance.objects.update(**used)
    path = f"/manage/tokens/{token['id']}"

    changed = manager.send(
        "PATCH",
        path,
        {
            "max_requests": 10,
            "budget_usd": "2.5",
            "requests_per_minute": 5,
            "name": "renamed",
            "allowed_models": ["o4-*"],
            "expires_at": "2030-01-01T00:00:00+01:00",
        },
    )

    assert changed["remaining"] == {"requests": 8, "requests_this_minute": 5, "budget_usd": 1.75}
    assert (changed["request_count"], changed["spent_usd"], changed["reserved_usd"]) == (
        2,
        0.25,
        0.5,
    )
    assert (changed["name"], changed["allowed_models"]) == ("renamed", ["o4-*"])
    assert changed["expires_at"] == "2029-12-31T23:00:00Z"
    allowance = Allowance.objects.get()
    assert {name: getattr(allowance, name) for name in used} == used
    assert (allowance.max_requests, allowance.budget_usd) == (10, Decimal("2.5"))

    free = {"max_requests": None, "budget_usd": None, "expires_at": None}
    freed = manager.send("PATCH", path, free)
    assert freed["max_requests"] is None and freed["expires_at"] is None
    assert freed["requests_per_minute"] == 5


def test_patch_takes_back_a_whole_token_and_refuses_what_none_has(manager, managed):
    token = token_of(manager, managed["id"], max_requests=3)
    path = f"/manage/tokens/{token['id']}"
    whole = {**manager.read(path), "max_requests": 4, "request_count": 9}
    changed = manager.send("PATCH", path, whole)
    assert (changed["max_requests"], changed["request_count"]) == (4, 0)

    misspelled = {"max_requests": 5, "budget_us": 1}
    refused = manager.send("PATCH", path, misspelled, expect=400)
    assert refused["fields"] == {"budget_us": "Extra inputs are not permitted"}
    assert Allowance.objects.get().max_requests == 4


def test_patch_changes_one_token_alone(manager, managed):
    token, other = (token_of(manager, managed["id"], max_requests=3) for _ in range(2))
    path = f"/manage/tokens/{token['id']}"
    manager.send("PATCH", path, {"max_requests": 10, "name": "ours", "is_active": False})
    changed = Token.objects.select_related("allowance").get(id=token["id"])
    assert (changed.allowance.max_requests, changed.name) == (10, "ours")
    assert changed.revoked_at is not None
    kept = Token.objects.select_related("allowance").get(id=other["id"])
    assert (kept.allowance.max_requests, kept.name, kept.revoked_at) == (3, "", None)
    manager.send("DELETE", f"/manage/tokens/{other['id']}", expect=204)
    manager.send("PATCH", path, {"is_active": True})
    kept.refresh_from_db()
    assert kept.revoked_at is not None


def test_patch_revokes_and_admits_again(manager, managed):
    token = token_of(manager, managed["id"], max_requests=3)
    path = f"/manage/tokens/{token['id']}"
    assert manager.send("PATCH", path, {"is_active": False})["revoked_at"] is not None
    again = manager.send("PATCH", path, {"is_active": True})
    assert (again["is_active"], again["max_requests"]) == (True, 3)


@pytest.mark.parametrize("body", [{}, {"max_requests": -1}, {"is_active": "?"}, {"expires_at": 7}])
def test_bad_patch_is_400_and_changes_nothing(manager, managed, body):
    token = token_of(manager, managed["id"])
    before = [*Token.objects.values(), *Allowance.objects.values()]
    manager.send("PATCH", f"/manage/tokens/{token['id']}", body, expect=400)
    assert [*Token.objects.values(), *Allowance.objects.values()] == before
    manager.send("PATCH", f"/manage/tokens/{UNKNOWN}", {"name": "x"}, expect=404)


def test_text_of_a_token_in_a_path_is_logged_by_nobody(manager, managed, settings, monkeypatch):
    """Contract section 1, row 5: accepted, never logged."""
    settings.ACCESS_LOG, log = True, io.StringIO()
    [handler] = [found for found in logging.root.handlers if found.name == "own"]
    monkeypatch.setattr(handler, "stream", log)
    token = token_of(manager, managed["id"])["token"]
    manager.read(f"/manage/tokens/{token}")
    manager.send("DELETE", f"/manage/tokens/{token}", expect=204)
    manager.read("/manage/tokens/sk-" + "B" * 22, expect=404)
    lines = log.getvalue()
    assert lines.count("/manage/tokens/sk-… ") == 3
    assert token not in lines and "B" * 22 not in lines
    assert token not in json.dumps(manager.read("/manage/audit"))
