"""Odd bodies are refused, or stored exactly: the same by every way in (issue 16)."""

import json
from decimal import Decimal

import pytest

from usage import listing
from usage.models import UsageLog

_BODY = '{{"provider": "p", "model": "m", "input_tokens": 1, "output_tokens": 1, {member}}}'


def by_log(api, body):
    response = api.generic("POST", "/api/v1/log", body, content_type="application/json")
    return response.status_code, response.json()


def by_view(api, body):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIEWS", "1")
        return by_log(api, body)


def _batch(api, body, content_type):
    response = api.generic("POST", "/api/v1/log/batch", body, content_type=content_type)
    reply = response.json()
    if response.status_code != 200:
        return response.status_code, reply
    (result,) = reply["results"]
    return (422 if result["status"] == "error" else 200), result


def by_batch(api, body):
    body = body.encode() if isinstance(body, str) else body
    return _batch(api, b'{"logs": [' + body + b"]}", "application/json")


def by_line(api, body):
    return _batch(api, body, "application/x-ndjson")


WAYS = pytest.mark.parametrize("send", [by_log, by_view, by_batch, by_line])
REFUSED = {
    '"alias": "a\\u0000b"': ("null_character", "alias"),
    '"metadata": {"a": "\\u0000"}': ("null_character", "metadata"),
    '"event_id": "\\u0000"': ("null_character", "event_id"),
    '"usage": {"prompt_tokens": NaN}': ("json_invalid", None),
    '"cost": Infinity': ("json_invalid", None),
    '"cost": 1e400': ("json_invalid", None),
    '"cost": "NaN"': ("finite_number", "cost"),
    '"alias": "\\ud800"': ("json_invalid", None),
    '"metadata": ' + '{"a":' * 66 + "1" + "}" * 66: ("too_deep", "metadata"),
    '"input_tokens": 9007199254740992': ("less_than_equal", "input_tokens"),
    '"input_tokens": 18446744073709551616': ("less_than_equal", "input_tokens"),
    '"input_tokens": 1.5000000000000000000001': ("int_from_float", "input_tokens"),
    '"usage": {"prompt_tokens": 1e30, "completion_tokens": 1}': ("int_type", "usage"),
    '"usage": {"prompt_tokens": 1, "completion_tokens": 0.1}': ("int_from_float", "usage"),
    '"units": {"images": -1}': ("greater_than_equal", "units"),
    '"units": []': ("dict_type", "units"),
    '"replace": "perhaps"': ("bool_parsing", "replace"),
    '"timestamp": "0001-01-01T00:00:00+14:00"': ("datetime_parsing", "timestamp"),
    '"timestamp": 1767261600': ("datetime_type", "timestamp"),
}


@WAYS
@pytest.mark.parametrize(("member", "error"), REFUSED.items(), ids=REFUSED)
def test_odd_members_are_refused_alike(api, send, member, error):
    type, name = error
    status, reply = send(api, _BODY.format(member=member))
    assert status == 422
    issue = reply["detail"][0]
    assert issue["type"] == type
    assert name is None or issue["loc"][:2] == ["body", name]
    assert not UsageLog.objects.exists()


KEPT = {
    '"cost": 123456789.012345678901': ("cost", Decimal("123456789.012345678901")),
    '"cost": 0.1234567890125000001': ("cost", Decimal("0.123456789013")),
    '"cost": "999999999999999999.999999999999"': (
        "cost",
        Decimal("999999999999999999.999999999999"),
    ),
    '"cost": 1e-300': ("cost", Decimal(0)),
    '"metadata": {"n": 9007199254740993}': ("metadata", {"n": 9007199254740993}),
    '"metadata": {"n": 18446744073709551617}': ("metadata", {"n": 18446744073709551617}),
    '"metadata": {"n": 0.123456789012345678901}': (
        "metadata",
        {"n": Decimal("0.123456789012345678901")},
    ),
    '"alias": "one", "alias": "two"': ("alias", "two"),
    '"alias": "\\ud83d\\ude00"': ("alias", "\U0001f600"),
    '"units": {"audio_seconds": 1.000000000001}': (
        "units_and_modifiers",
        {"units": {"audio_seconds": 1.000000000001}},
    ),
}


@WAYS
@pytest.mark.parametrize(("member", "kept"), KEPT.items(), ids=KEPT)
def test_exact_members_are_kept_alike(api, send, member, kept):
    column, value = kept
    status, reply = send(api, _BODY.format(member=member))
    assert status == 200, reply
    assert getattr(UsageLog.objects.get(), column) == value


@WAYS
def test_bytes_that_are_no_text_are_refused(api, send):
    status, reply = send(api, b'{"provider": "\xff\xfe"}')
    assert status in (400, 422), reply
    assert not UsageLog.objects.exists()


@WAYS
def test_a_byte_order_mark_is_no_json(api, send):
    """In NDJSON it stands at the beginning of a file, which is read without it."""
    status, _ = send(api, b"\xef\xbb\xbf" + _BODY.format(member='"alias": null').encode())
    assert status == (200 if send is by_line else 422)


def test_large_metadata_is_refused_and_old_rows_stay_readable(api, settings):
    body = {"provider": "p", "model": "m", "input_tokens": 1, "output_tokens": 1}
    body["metadata"] = {"text": "x" * 70_000}
    (error,) = api.send("POST", "/api/v1/log", body, expect=422)["detail"]
    assert (error["loc"], error["ctx"]) == (["body", "metadata"], {"max_length": 65_536})
    settings.MAX_METADATA_BYTES = 10**7
    ids = [api.send("POST", "/api/v1/log", body)["log_id"] for _ in range(3)]
    settings.MAX_METADATA_BYTES = 65_536
    assert [log["id"] for log in api.read("/api/v1/logs")] == ids[::-1]


def test_pages_and_exports_are_bounded_by_bytes(api, settings, monkeypatch):
    """115 rows of 9.5 MB made a page of 500 fail for ever; here 5 of 0.3 MB, of 0.5 a page."""
    monkeypatch.setattr("usage.listing.MAX_PAGE_BYTES", 500_000)
    monkeypatch.setattr("usage.listing._MAX_STORED_BYTES", 5_000)
    settings.MAX_METADATA_BYTES = 10**7
    body = {"provider": "p", "model": "m", "input_tokens": 1, "output_tokens": 1}
    body["metadata"] = {"text": "x" * 300_000, "odd": [*range(2_000)]}
    ids = [api.send("POST", "/api/v1/log", body)["log_id"] for _ in range(5)]
    pages, cursor = [], None
    while not pages or cursor:
        response = api.get("/api/v1/logs", {"cursor": cursor} if cursor else {})
        pages.append([log["id"] for log in response.json()])
        cursor = response.headers.get("X-Next-Cursor")
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [id for page in pages for id in page] == ids[::-1]
    lines = api.get("/api/v1/logs/export").getvalue().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ids


@pytest.mark.parametrize("statements", [1, 2, 3])
def test_large_logs_that_are_deleted_while_they_are_read_are_left_out(
    api, settings, monkeypatch, statements
):
    """By retention, between the statements of a page: its logs, their sizes, and each's text."""
    monkeypatch.setattr("usage.listing._MAX_STORED_BYTES", 5_000)
    settings.MAX_METADATA_BYTES = 10**7
    body = {"provider": "p", "model": "m", "input_tokens": 1, "output_tokens": 1}
    body["metadata"] = {"text": "x" * 300_000, "odd": [*range(2_000)]}
    old, _, new = (api.send("POST", "/api/v1/log", body)["log_id"] for _ in range(3))
    run, made = listing._run, []

    def deleting(sql, parameters):
        made.append(sql)
        rows = run(sql, parameters)
        if len(made) == statements:
            UsageLog.objects.exclude(id=new).delete()
        return rows

    monkeypatch.setattr(listing, "_run", deleting)
    lines = api.get("/api/v1/logs/export").getvalue().splitlines()
    read = [old, new] if statements == 3 else [new]
    assert [json.loads(line)["id"] for line in lines] == read


def test_page_of_large_logs_that_are_all_deleted_meanwhile_is_empty(api, settings, monkeypatch):
    settings.MAX_METADATA_BYTES = 10**7
    body = {"provider": "p", "model": "m", "input_tokens": 1, "output_tokens": 1}
    api.send("POST", "/api/v1/log", {**body, "metadata": {"odd": [*range(20_000)]}})
    run = listing._run

    def deleting(sql, parameters):
        rows = run(sql, parameters)
        UsageLog.objects.all().delete()
        return rows

    monkeypatch.setattr(listing, "_run", deleting)
    assert api.read("/api/v1/logs") == []
