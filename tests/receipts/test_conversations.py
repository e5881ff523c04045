"""Conversations and their calls in the ledger: each call is certified, and counts, once."""

from datetime import UTC, datetime

import pytest
from django.test import override_settings

from conversations.models import Conversation
from receipts import verification
from receipts.models import Receipt, ReceiptLog
from tests.receipts import vectors
from tests.receipts.ledger import log, row

GENERATE = "/api/v1/receipts/generate"
UNCERTIFIED = "/api/v1/receipts/uncertified"
SINCE = {"since_last_receipt": True}
pytestmark = pytest.mark.usefixtures("signing")


def converse(api, question="Hello", **metadata) -> dict:
    """A whole call, logged as the client does."""
    numbers = {"input_tokens": 10, "output_tokens": 5, "cost": 0.25, **metadata}
    return api.send(
        "POST",
        "/api/v1/conversations/log",
        {
            "messages": [{"role": "user", "content": question}],
            "response": {"content": "Hi", "model": "gpt-4o", "finish_reason": "stop"},
            "metadata": {"provider": "openai", "model": "gpt-4o", "alias": "deep", **numbers},
        },
    )


@override_settings(RECEIPTS_PRIVATE_KEY="", RECEIPTS_PUBLIC_KEY="")
def converse_unsigned(api, question="Hello", **metadata) -> dict:
    """A whole call, logged before the server had a signing key."""
    return converse(api, question, **metadata)


def summary(reply) -> dict:
    return reply["receipt"]["batch_summary"]


def test_a_conversation_without_calls_in_the_ledger_counts_itself(api):
    conversation = converse_unsigned(api)["conversation_id"]
    (entry,) = api.read(UNCERTIFIED)["logs"]
    assert {name: entry[name] for name in entry if name != "timestamp"} == {
        "id": conversation,
        "type": "conversation",
        "alias": "deep",
        "provider": "openai",
        "model": "gpt-4o",
        "input_tokens": 10,
        "output_tokens": 5,
        "cached_input_tokens": 0,
        "cost": 0.25,
    }
    reply = api.send("POST", GENERATE, SINCE)
    receipt = reply["receipt"]
    assert reply["certified_count"] == 1
    assert (receipt["receipt_type"], receipt["model"], receipt["total_cost"]) == (
        "single",
        "gpt-4o",
        0.25,
    )
    totals = summary(reply)
    assert (totals["conversation_ids"], totals["log_ids"]) == ([conversation], [])
    assert (totals["total_conversations"], totals["total_calls"]) == (1, 1)
    logs = api.read(f"/api/v1/receipts/{receipt['receipt_id']}/logs")["logs"]
    assert [(entry["id"], entry["type"], entry["cost"]) for entry in logs] == [
        (conversation, "conversation", 0.25)
    ]
    assert api.read(UNCERTIFIED)["total"] == 0


@pytest.mark.parametrize("way", ["since", "range", "ids", "conversation"])
def test_a_conversation_and_its_call_count_once(api, way):
    """The client writes both: the conversation, then the call that names it."""
    conversation = converse_unsigned(api)["conversation_id"]
    call = log(
        api, cost="0.25", metadata={"conversation_id": conversation}, id_at_origin=conversation
    )
    assert [entry["id"] for entry in api.read(UNCERTIFIED)["logs"]] == [call]
    body = {
        "since": SINCE,
        "range": {"start_date": "2026-01-01", "end_date": "2999-01-01"},
        "ids": {"log_ids": [conversation, call]},
        "conversation": {"conversation_id": conversation},
    }[way]
    reply = api.send("POST", GENERATE, body)
    totals = summary(reply)
    assert (reply["certified_count"], reply["receipt"]["total_cost"]) == (1, 0.25)
    assert (totals["conversation_ids"], totals["log_ids"]) == ([conversation], [call])
    api.send("POST", GENERATE, SINCE, expect=400)


def test_a_call_that_arrives_after_its_conversation_was_certified_is_certified_with_it(api):
    conversation = converse_unsigned(api)["conversation_id"]
    api.send("POST", GENERATE, SINCE)
    log(api, cost="0.25", metadata={"conversation_id": conversation}, id_at_origin=conversation)
    assert api.read(UNCERTIFIED)["total"] == 0
    api.send("POST", GENERATE, SINCE, expect=400)


def test_messages_added_after_a_receipt_are_certified_by_the_conversations_id_alone(api):
    """Its totals have no parts that a second receipt could certify without the first."""
    conversation = converse_unsigned(api)["conversation_id"]
    api.send("POST", GENERATE, SINCE)
    answer = {"role": "assistant", "content": "B", "input_tokens": 20, "output_tokens": 7}
    answer["metadata"] = {"cost": 0.5}
    api.send("POST", f"/api/v1/conversations/{conversation}/messages", answer)
    assert api.read(UNCERTIFIED)["total"] == 0
    api.send("POST", GENERATE, SINCE, expect=400)
    totals = summary(api.send("POST", GENERATE, {"conversation_id": conversation}))
    assert (totals["total_tokens"], totals["total_cost"]) == (10 + 5 + 20 + 7, 0.75)


def test_a_call_that_was_on_its_way_meanwhile_is_certified_with_its_conversation(api):
    """It was received just before the conversation was certified, and stored just after."""
    conversation = converse_unsigned(api)["conversation_id"]
    received = datetime.now(UTC)
    api.send("POST", GENERATE, SINCE)
    row(api, received, conversation_id=conversation, received_at=received)
    other = log(api)  # the day is read again
    assert summary(api.send("POST", GENERATE, SINCE))["log_ids"] == [other]


def test_later_calls_of_a_conversation_are_certified_by_themselves(api):
    conversation = converse_unsigned(api)["conversation_id"]
    metadata = {"metadata": {"conversation_id": conversation}, "id_at_origin": conversation}
    log(api, **metadata)
    api.send("POST", GENERATE, SINCE)
    later = log(api, **metadata)
    assert summary(api.send("POST", GENERATE, SINCE))["log_ids"] == [later]


def test_a_conversation_whose_calls_were_deleted_is_not_certified_again(api):
    from usage.models import UsageLog

    conversation = converse_unsigned(api)["conversation_id"]
    log(api, metadata={"conversation_id": conversation}, id_at_origin=conversation)
    api.send("POST", GENERATE, SINCE)
    UsageLog.objects.all().delete()
    assert api.read(UNCERTIFIED)["total"] == 0


def test_empty_conversations_and_strangers_are_no_logs(api, other_api):
    api.send("POST", "/api/v1/conversations", {"title": "not begun"})
    conversation = converse_unsigned(other_api)["conversation_id"]
    assert api.read(UNCERTIFIED)["total"] == 0
    api.send("POST", GENERATE, {"conversation_id": conversation}, expect=400)
    api.send("POST", GENERATE, {"log_ids": [conversation]}, expect=400)


def test_conversations_come_before_calls(api):
    conversations = [converse_unsigned(api)["conversation_id"] for _ in range(2)]
    call = log(api)
    assert [entry["id"] for entry in api.read(UNCERTIFIED)["logs"]] == [
        *reversed(conversations),
        call,
    ]
    page = api.read(UNCERTIFIED, {"limit": 2, "offset": 1})
    assert [entry["id"] for entry in page["logs"]] == [conversations[0], call]
    assert page["total"] == 3
    assert api.send("POST", GENERATE, SINCE)["receipt"]["provider"] == "openai"


def test_a_batch_is_named_after_its_conversations_first(api):
    converse_unsigned(api)
    log(api, alias="newer", provider="p")
    receipt = api.send("POST", GENERATE, SINCE)["receipt"]
    assert (receipt["alias"], receipt["provider"]) == ("deep", "openai")


def test_a_conversation_of_several_calls_is_one(api):
    conversation = api.send("POST", "/api/v1/conversations", {"title": "Grammar"})["id"]
    for _ in range(2):
        log(api, metadata={"conversation_id": conversation})
    totals = summary(api.send("POST", GENERATE, SINCE))
    assert (totals["total_conversations"], totals["total_calls"]) == (1, 2)


class TestReceiptsOfLoggedCalls:
    def test_a_logged_call_has_its_receipt(self, api):
        reply = converse(api, profile="prod", lock_digest="sha256:00ff", cost=0.5)
        receipt = reply["receipt"]
        verification.verify(receipt, [vectors.KEY.public])
        for name in ("receipt_id", "timestamp", "signature"):
            receipt.pop(name)
        assert receipt == {
            "alias": "deep",
            "profile": "prod",
            "lock_digest": "sha256:00ff",
            "provider": "openai",
            "model": "gpt-4o",
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "input_cost": 0,
            "output_cost": 0.5,
            "total_cost": 0.5,
        }
        stored = Receipt.objects.get()
        link = ReceiptLog.objects.get()
        assert stored.is_verified and str(link.log_id) == reply["conversation_id"]

    def test_alias_and_profile_are_default_where_none_is_stated(self, api):
        receipt = converse(api, alias=None)["receipt"]
        assert (receipt["alias"], receipt["profile"]) == ("default", "default")

    def test_stated_parts_stay(self, api):
        receipt = converse(api, cost=None, input_cost=0.1, output_cost=0.2)["receipt"]
        assert (receipt["input_cost"], receipt["output_cost"], receipt["total_cost"]) == (
            0.1,
            0.2,
            0.3,
        )

    def test_it_certifies_the_call(self, api):
        conversation = converse(api)["conversation_id"]
        log(api, metadata={"conversation_id": conversation}, id_at_origin=conversation)
        assert api.read(UNCERTIFIED)["total"] == 0

    def test_it_certifies_no_call_that_was_there_before(self, api):
        """0.1 is certified, 0.2 not yet, when a turn of 0.4 gets its own receipt."""
        conversation = api.send("POST", "/api/v1/conversations", {"title": "Grammar"})["id"]
        metadata = {"conversation_id": conversation}
        log(api, cost="0.1", metadata=metadata)
        assert summary(api.send("POST", GENERATE, SINCE))["total_cost_exact"] == "0.1"
        earlier = log(api, cost="0.2", metadata=metadata)
        assert converse(api, cost=0.4, **metadata)["receipt"]["total_cost"] == 0.4
        log(api, cost="0.4", metadata=metadata)
        totals = summary(api.send("POST", GENERATE, SINCE))
        assert (totals["total_cost_exact"], totals["log_ids"]) == ("0.2", [earlier])
        api.send("POST", GENERATE, SINCE, expect=400)

    def test_of_many_turns_each_certifies_its_call(self, api):
        """The calls of the first turns were logged before the server had a key."""
        first = converse_unsigned(api)["conversation_id"]
        metadata = {"conversation_id": first}
        calls = [log(api, cost="0.25", metadata=metadata)]
        converse_unsigned(api, "Why?", **metadata)
        calls.append(log(api, cost="0.25", metadata=metadata))
        for question in ("When?", "Where?"):
            converse(api, question, **metadata)
            log(api, cost="0.25", metadata=metadata)
        totals = summary(api.send("POST", GENERATE, SINCE))
        assert (totals["total_cost_exact"], totals["log_ids"]) == ("0.5", calls)

    def test_without_a_key_there_is_none(self, api, signing):
        signing.RECEIPTS_PRIVATE_KEY = signing.RECEIPTS_PUBLIC_KEY = ""
        assert converse(api)["receipt"] is None

    @pytest.mark.parametrize(
        ("cost", "total"),
        [
            ("100000000000000000", "100000000000000000.000000000001"),
            ("999999999999999999.123456789012", "999999999999999999.123456789013"),
        ],
    )
    def test_numbers_that_no_receipt_can_state_do_not_lose_the_call(self, api, cost, total):
        first = converse(api, cost=cost)
        assert first["receipt"] is None
        more = {"cost": "0.000000000001", "conversation_id": first["conversation_id"]}
        converse(api, "More", **more)
        conversation = Conversation.objects.get(id=first["conversation_id"])
        assert str(conversation.total_cost) == total

    def test_an_unknown_cost_is_not_signed_as_0_without_saying_so(self, api):
        receipt = converse(api, cost=None, model="unheard-of")["receipt"]
        verification.verify(receipt, [vectors.KEY.public])
        assert (receipt["total_cost"], receipt["cost_source"]) == (0, "unpriced")
        assert "cost_source" not in converse(api, cost=0)["receipt"]


class TestCorrectionsOfItsCalls:
    """A call that was certified with its conversation is corrected: the next receipt says so."""

    @pytest.fixture(params=["with the turn", "since the last receipt"])
    def certified(self, api, request) -> tuple[str, str]:
        """A receipt of 0.25 for a conversation, and the call of 0.25 that arrived after it."""
        if request.param == "with the turn":
            turn = converse(api)
            conversation, receipt = turn["conversation_id"], turn["receipt"]
        else:
            conversation = converse_unsigned(api)["conversation_id"]
            receipt = api.send("POST", GENERATE, SINCE)["receipt"]
        call = log(api, cost="0.25", metadata={"conversation_id": conversation})
        return receipt["receipt_id"], call

    def test_a_void_is_certified(self, api, certified):
        _, call = certified
        reversal = api.send("POST", f"/api/v1/logs/{call}/void", {"reason": "twice"})["reversal_id"]
        assert [entry["id"] for entry in api.read(UNCERTIFIED)["logs"]] == [reversal]
        totals = summary(api.send("POST", GENERATE, SINCE))
        assert (totals["total_cost_exact"], totals["total_calls"]) == ("-0.25", -1)
        assert totals["log_ids"] == [reversal]
        assert api.read("/api/v1/stats")["summary"]["total_cost"] == "0"
        api.send("POST", GENERATE, SINCE, expect=400)

    def test_a_replacement_is_certified_with_its_reversal(self, api, certified):
        _, call = certified
        correction = {"reason": "typo", "cost": "0.1"}
        api.send("POST", f"/api/v1/logs/{call}/correct", correction)
        totals = summary(api.send("POST", GENERATE, SINCE))
        assert (totals["total_cost_exact"], totals["total_calls"]) == ("-0.15", 0)
        assert api.read("/api/v1/stats")["summary"]["total_cost"] == "0.1"

    def test_its_receipt_names_the_reversal(self, api, certified):
        receipt, call = certified
        path = f"/api/v1/receipts/{receipt}"
        assert "X-Corrected-By" not in api.get(path)
        reversal = api.send("POST", f"/api/v1/logs/{call}/void", {"reason": "twice"})["reversal_id"]
        assert api.get(path)["X-Corrected-By"] == reversal

    def test_of_several_turns_the_receipt_of_the_corrected_one_names_the_reversal(self, api):
        first = converse(api)
        conversation = {"conversation_id": first["conversation_id"]}
        log(api, cost="0.25", metadata=conversation)
        second = converse(api, "And now?", cost=0.5, **conversation)
        call = log(api, cost="0.5", metadata=conversation)
        reversal = api.send("POST", f"/api/v1/logs/{call}/void", {"reason": "twice"})["reversal_id"]
        paths = [f"/api/v1/receipts/{turn['receipt']['receipt_id']}" for turn in (first, second)]
        assert [api.get(path).get("X-Corrected-By") for path in paths] == [None, reversal]

    def test_a_later_turn_does_not_take_over_the_correction(self, api):
        first = converse(api)
        conversation = {"conversation_id": first["conversation_id"]}
        call = log(api, cost="0.25", metadata=conversation)
        second = converse(api, "And now?", cost=0.5, **conversation)
        reversal = api.send("POST", f"/api/v1/logs/{call}/void", {"reason": "twice"})["reversal_id"]
        paths = [f"/api/v1/receipts/{turn['receipt']['receipt_id']}" for turn in (first, second)]
        assert [api.get(path).get("X-Corrected-By") for path in paths] == [reversal, None]

    def test_corrected_before_any_receipt_it_counts_as_it_stands(self, api):
        conversation = converse_unsigned(api)["conversation_id"]
        call = log(api, cost="0.25", metadata={"conversation_id": conversation})
        api.send("POST", f"/api/v1/logs/{call}/correct", {"reason": "typo", "cost": "0.1"})
        totals = summary(api.send("POST", GENERATE, SINCE))
        assert (totals["total_cost_exact"], totals["total_calls"]) == ("0.1", 1)
