"""A plain chat and a streaming one, from the client's request to the ledger's row."""

from decimal import Decimal

from tests.gateway.conftest import counts
from tests.gateway.upstream import DONE, USAGE_CHUNK, chat, content, reply, stop, stream


def test_a_chat_is_relayed_priced_and_logged(gateway, mock):
    mock.script = reply(chat(1000, 200))

    answer = gateway.chat(headers={"X-LLMRing-Origin": "billing"})

    assert answer.status_code == 200
    assert answer.json() == chat(1000, 200)
    [seen] = mock.requests
    assert (seen.method, seen.target) == ("POST", "/v1/chat/completions")
    assert seen.header("Authorization") == "Bearer sk-upstream-key-0123456789"
    row = gateway.row
    assert counts(row) == ("settled", 1000, 0, 200, 0)
    # 1000 * 0.15 + 200 * 0.60, per million
    assert row.cost == Decimal("0.00027")
    assert (row.provider, row.upstream, row.http_status) == ("openai", "openai", 200)
    assert (row.model, row.requested_model) == ("gpt-4o-mini-2024-07-18", "gpt-4o-mini")
    assert (row.origin, row.api_key_id) == ("billing", gateway.token_row.id)
    assert row.latency_ms is not None and row.first_byte_ms is not None
    assert gateway.pending == 0


def test_only_the_upstream_may_let_an_answer_be_stored(gateway, mock):
    mock.script = reply(chat())
    assert gateway.chat().headers["Cache-Control"] == "no-store"
    mock.script = reply(chat(), Cache_Control="private, max-age=60")
    assert gateway.chat().headers["Cache-Control"] == "private, max-age=60"


def test_a_stream_is_relayed_priced_and_logged(gateway, mock):
    pieces = [content("Hel"), content("lo"), stop()]
    mock.script = stream(*pieces, USAGE_CHUNK, DONE)

    answer = gateway.chat(stream=True)

    assert answer.content == b"".join(pieces) + DONE
    assert mock.requests[0].json["stream_options"] == {"include_usage": True}
    row = gateway.row
    assert counts(row) == ("settled", 176, 1024, 340, 0)
    assert row.cost == Decimal("0.0003072")
