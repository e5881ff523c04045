"""`POST /api/v1/log` (docs/http-contract.md, section "Logging a call")."""

from decimal import Decimal

from accounts.models import ApiKey, Project
from tests.client import ApiClient
from tests.usage.calls import BOTH_WAYS, CALL
from usage.columns import SUMS
from usage.models import DailyUsage, UsageLog
from usage.schemas import LogEntry


@BOTH_WAYS
def test_callers_cost_is_stored_and_returned(api):
    api.send("POST", "/api/v1/log", CALL)  # the key is known to the process from here on
    reply = api.send("POST", "/api/v1/log", {**CALL, "cost": 0.0025, "alias": "summarizer"})
    assert (reply["cost"], reply["cost_source"]) == (0.0025, "caller")
    row = UsageLog.objects.get(id=reply["log_id"])
    assert (row.cost, row.alias, row.profile) == (Decimal("0.0025"), "summarizer", "default")
    assert (row.project_id, row.api_key_id) == (api.project.id, api.api_key_id)
    assert reply["timestamp"] == row.created_at.isoformat().replace("+00:00", "Z")


@BOTH_WAYS
def test_everything_a_client_may_send_is_kept(api):
    api.send("POST", "/api/v1/log", CALL)
    sent = {
        **CALL,
        "cached_input_tokens": 400,
        "alias": "fast",
        "profile": "prod",
        "cost": "0.1",
        "latency_ms": 120,
        "origin": "billing",
        "id_at_origin": "call 7",
        "metadata": {"user": "ü", "nested": {"deep": [1, 2.5, None, True]}},
        "unknown": "ignored",
    }
    row = UsageLog.objects.get(id=api.send("POST", "/api/v1/log", sent)["log_id"])
    kept = {name: getattr(row, name) for name in sent if name not in ("unknown", "cost")}
    assert kept == {name: value for name, value in sent.items() if name not in ("unknown", "cost")}
    assert row.cost == Decimal("0.1")


@BOTH_WAYS
def test_costs_keep_every_digit_up_to_twelve_places(api):
    api.send("POST", "/api/v1/log", CALL)
    for stated, kept in [
        ("0.000000000001", "0.000000000001"),
        ('"123456789012.000000000001"', "123456789012.000000000001"),
        ('"999999999999999999.0000000000049"', "999999999999999999.000000000005"),
        ("1e-13", "0"),
        ("250", "250"),
    ]:
        body = '{"provider":"p","model":"m","input_tokens":1,"output_tokens":0,"cost":GIVEN}'
        body = body.replace("GIVEN", stated)
        reply = api.send("POST", "/api/v1/log", body)
        assert UsageLog.objects.get(id=reply["log_id"]).cost == Decimal(kept)


def test_numbers_may_come_as_text_or_integral_floats(api):
    """The leniency that old clients rely on (docs/http-contract.md, section "Values")."""
    lenient = {**CALL, "input_tokens": "12", "output_tokens": 3.0, "cached_input_tokens": True}
    row = UsageLog.objects.get(id=api.send("POST", "/api/v1/log", lenient)["log_id"])
    assert (row.input_tokens, row.output_tokens, row.cached_input_tokens) == (12, 3, 1)


def test_missing_cached_tokens_and_profile_have_defaults(api):
    body = {**CALL, "cached_input_tokens": None, "profile": "", "alias": None}
    row = UsageLog.objects.get(id=api.send("POST", "/api/v1/log", body)["log_id"])
    assert (row.cached_input_tokens, row.profile, row.alias) == (0, "default", None)


def test_call_without_known_price_costs_nothing_and_says_so(api):
    reply = api.send("POST", "/api/v1/log", {**CALL, "model": "no-such-model"})
    assert (reply["cost"], reply["cost_source"]) == (0, "unpriced")
    assert UsageLog.objects.get().cost is None
    assert api.read("/api/v1/stats")["summary"]["unpriced_requests"] == 1


def test_content_type_may_be_absent_or_a_json_dialect(api):
    for content_type in ("", "application/vnd.api+json", "application/json; charset=utf-8"):
        api.send("POST", "/api/v1/log", CALL, content_type=content_type)


def test_sums_of_the_day_are_kept_with_the_rows(api):
    for alias in ("a", "a", None):
        api.send("POST", "/api/v1/log", {**CALL, "alias": alias, "cost": 0.1})
    sums = {day.alias: (day.requests, day.cost) for day in DailyUsage.objects.all()}
    assert sums == {"a": (2, Decimal("0.2")), "": (1, Decimal("0.1"))}


def test_sums_are_the_same_for_calls_that_arrive_alone_and_together(api):
    reports = [
        {"input_tokens": 1000, "output_tokens": 200, "cached_input_tokens": 400, "cost": 0.1},
        {"input_tokens": 30, "output_tokens": 20, "thinking_tokens": 15, "cost": 0.02},
        {"input_tokens": 7, "output_tokens": 1, "cache_write_5m_tokens": 5, "model": "unpriced"},
        {"usage_status": "unknown"},
    ]
    calls = [{"provider": "p", "model": "m", **report} for report in reports]
    for call in calls:
        api.send("POST", "/api/v1/log", {**call, "alias": "alone"})
    api.send("POST", "/api/v1/log/batch", {"logs": [{**call, "alias": "both"} for call in calls]})

    columns = [*SUMS, "entries"]
    alone, both = (
        [*DailyUsage.objects.filter(alias=alias).order_by("model", "cost").values_list(*columns)]
        for alias in ("alone", "both")
    )
    assert alone == both
    [of_m, of_unpriced] = DailyUsage.objects.filter(alias="alone").order_by("model")
    assert (of_m.requests, of_m.unknown_requests, of_m.cost) == (3, 1, Decimal("0.12"))
    assert (of_m.input_tokens, of_m.output_tokens, of_m.cached_input_tokens) == (1030, 220, 400)
    assert (of_m.thinking_tokens, of_m.cache_write_5m_tokens) == (15, None)
    assert (of_unpriced.unpriced_requests, of_unpriced.cache_write_5m_tokens) == (1, 5)


def test_optional_members_that_are_null_are_absent(api):
    required = ["provider", "model", "input_tokens", "output_tokens"]
    names = LogEntry.model_fields.keys() - {*required, "metadata"}
    call = {name: CALL[name] for name in required}
    log_id = api.send("POST", "/api/v1/log", {**call, **dict.fromkeys(names)})["log_id"]
    row = UsageLog.objects.get(pk=log_id)
    assert (row.input_tokens, row.alias, row.event_id, row.profile) == (1000, None, None, "default")


def test_key_never_seen_before_opens_a_project_of_its_own(anonymous, bridge_mode):
    client = ApiClient("a-key-of-the-client's-own")
    assert client.read("/api/v1/logs") == []
    assert not ApiKey.objects.exists()  # reading makes nothing
    client.send("POST", "/api/v1/log", CALL)
    client.send("POST", "/api/v1/log", CALL)
    assert len(client.read("/api/v1/logs")) == 2
    assert Project.objects.count() == ApiKey.objects.count() == 1
