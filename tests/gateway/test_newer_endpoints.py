"""Newer endpoints: relayed as the official SDKs send it, and metered."""

from decimal import Decimal

import pytest

from tests.gateway.calls import within_a_second
from tests.gateway.conftest import counts
from tests.gateway.upstream import DONE, chunk, content, reply, stream

QUESTIONS = [{"type": "predicate", "instructions": "Is it a greeting?"}]
DECISION = {
    "answers": [{"type": "predicate", "name": None, "probability": 0.97}],
    "model": "gpt-5-mini",
    "usage": {
        "input_tokens": 900,
        "input_tokens_details": {"cached_tokens": 512, "cache_write_tokens": 0},
        "output_tokens": 256,
        "output_tokens_details": {"reasoning_tokens": 192},
        "total_tokens": 1156,
    },
}


def decide(gateway, questions=QUESTIONS):
    return gateway.post(
        "/v1/decisions", {"model": "gpt-5-mini", "input": "Hello", "questions": questions}
    )


def test_decisions_are_billed_by_their_usage(gateway, mock):
    mock.script = reply(DECISION)
    assert decide(gateway).json() == DECISION
    assert counts(gateway.row) == ("settled", 388, 512, 256, 192)
    # 388 * 0.25 + 512 * 0.025 + 256 * 2.00, per million
    assert gateway.row.cost == Decimal("0.0006218")


def test_decisions_are_held_to_a_tokens_models(gateway, mock):
    gateway.use(allowed_models=["gpt-4o-mini"])
    assert decide(gateway).json()["error"]["code"] == "model_not_allowed"
    assert mock.requests == []


def test_questions_that_are_text_do_not_fill_the_context(gateway, mock):
    """400,000 tokens of context would cost 0.10 dollars, the answer's 128,000 0.256."""
    mock.script = reply(DECISION)
    picture = {"type": "input_image", "image_url": "https://example.com/a.png"}
    gateway.use(budget_usd="0.30")
    assert decide(gateway, [{**QUESTIONS[0], "instructions": [picture]}]).status_code == 429
    assert decide(gateway).status_code == 200


def test_tokens_are_counted_for_nothing(gateway, mock):
    """As SDKs do before a call: it takes no part of the token's limits."""
    counted = {"object": "response.input_tokens", "input_tokens": 11}
    mock.script = reply(counted)
    gateway.use(max_requests=1, budget_usd="0.000001", allowed_models=["gpt-5-mini"])
    path, body = "/v1/responses/input_tokens", {"model": "gpt-5-mini", "input": "Hello"}
    assert [gateway.post(path, body).json() for _ in range(2)] == [counted] * 2
    assert [seen.json for seen in mock.requests] == [body] * 2
    assert gateway.post(path, {**body, "model": "gpt-5"}).status_code == 403
    assert gateway.rows == [] and gateway.get("/v1/token").json()["request_count"] == 0


def test_streaming_completions_are_asked_for_their_usage(gateway, mock):
    part = {"id": "cmpl-1", "object": "text_completion", "model": "gpt-3.5-turbo-instruct"}
    pieces = [chunk({**part, "choices": [{"index": 0, "text": text}]}) for text in ("Hel", "lo")]
    usage = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}
    mock.script = stream(*pieces, chunk({**part, "choices": [], "usage": usage}), DONE)

    answer = gateway.post(
        "/v1/completions", {"model": "gpt-3.5-turbo-instruct", "prompt": "Hi", "stream": True}
    )

    assert mock.requests[0].json["stream_options"] == {"include_usage": True}
    assert answer.content == b"".join(pieces) + DONE
    assert counts(gateway.row) == ("settled", 1000, 0, 200, 0)


FORMS = {
    "/v1/videos/characters": ("video", 1),
    "/v1/videos/edits": ("video", 1),
    "/v1/videos/extensions": ("video", 1),
    "/v1/skills": ("files[]", 0),
    "/v1/skills/skill_1/versions": ("files[]", 0),
    "/v1/audio/voices": ("audio_sample", 0),
    "/v1/audio/voice_consents": ("recording", 0),
    "/v1/content_provenance_checks": ("file", 0),
    "/v1/videos": ("input_reference", 1),
    "/v1/files": ("file", 0),
    "/v1/uploads/u/parts": ("data", 0),
    "/v1/containers/c/files": ("file", 0),
}


@pytest.mark.parametrize("path", FORMS)
def test_forms_pass_with_their_files(gateway, mock, own_key, path):
    own_key()
    mock.script = reply({"id": "x"})
    field, rows = FORMS[path]
    content = b"\x00\x01" * 5000
    answer = gateway.post(path, files={field: ("f.bin", content)}, data={"name": "n"})
    assert (answer.status_code, answer.json()) == (200, {"id": "x"})
    [seen] = mock.requests
    assert f'name="{field}"'.encode() in seen.body and content in seen.body
    assert [row.usage_status for row in gateway.rows] == ["unknown"] * rows


OBJECTS = {
    "GET /v1/agents": 0,
    "POST /v1/agents": 0,
    "POST /v1/agents/agent_1": 0,
    "PATCH /v1/agents/agent_1": 0,  # as Mistral's are changed
    "PUT /v1/agents/agent_1": 0,
    "POST /v1/agents/sessions": 1,
    "POST /v1/agents/sessions/s/events": 1,
    "GET /v1/agents/sessions/s/events": 0,
    "DELETE /v1/agents/sessions/s": 0,
    "POST /v1/agents/environments": 1,
    "POST /v1/agents/automations/a/invocations": 1,
    "POST /v1/vaults/v/credentials": 0,
    "GET /v1/chatkit/threads/t/items": 0,
    "DELETE /v1/skills/s/versions/1": 0,
    "POST /v1/skills/s": 0,
    "POST /v1/audio/voice_consents/c": 0,
    "GET /v1/chat/completions": 0,
    "POST /v1/chat/completions/c": 1,  # more than `metadata`
    "DELETE /v1/chat/completions/c": 0,
    "GET /v1/chat/completions/c/messages": 0,
    "GET /v1/responses/r": 0,
    "DELETE /v1/responses/r": 0,
    "POST /v1/responses/r/cancel": 0,
    "GET /v1/responses/r/input_items": 0,
    "DELETE /v1/models/m": 0,
    "GET /v1/files/f/content": 0,
    "POST /v1/uploads": 0,
    "POST /v1/uploads/u/complete": 0,
    "POST /v1/batches": 1,
    "GET /v1/batches": 0,
    "POST /v1/batches/b/cancel": 0,
    "POST /v1/vector_stores/v/search": 0,
    "POST /v1/containers": 1,
    "DELETE /v1/containers/c": 0,
    "POST /v1/conversations/c/items": 0,
    "POST /v1/fine_tuning/jobs": 1,
    "GET /v1/fine_tuning/jobs": 0,
    "POST /v1/fine_tuning/jobs/j/resume": 1,
    "POST /v1/fine_tuning/jobs/j/pause": 0,
    "POST /v1/fine_tuning/alpha/graders/run": 1,
    "POST /v1/assistants": 0,
    "POST /v1/threads": 0,
    "POST /v1/threads/runs": 1,
    "POST /v1/threads/t/runs": 1,
    "POST /v1/threads/t/runs/r/submit_tool_outputs": 1,
    "POST /v1/threads/t/runs/r/cancel": 0,
    "POST /v1/evals": 1,
    "POST /v1/evals/e/runs": 1,
    "DELETE /v1/evals/e": 0,
    "POST /v1/videos": 1,
    "POST /v1/videos/v/remix": 1,
    "GET /v1/videos/v/content": 0,
}


@pytest.mark.parametrize("request_line", OBJECTS)
def test_objects_of_an_own_key_are_served(gateway, mock, own_key, request_line):
    mock.script = reply({"id": "x"})
    method, path = request_line.split()
    shared = gateway.send(method, path, {"name": "n"})
    assert (shared.status_code, shared.json()["error"]["code"]) == (403, "shared_upstream_key")
    own_key()
    within_a_second(lambda: gateway.send(method, path, {"name": "n"}).status_code == 200)
    assert [seen.target for seen in mock.requests] == [path]
    assert [row.usage_status for row in gateway.rows] == ["unknown"] * OBJECTS[request_line]


FIM = "/v1/fim/completions"
GAP = {"model": "codestral-latest", "prompt": "def add(a, b):", "suffix": "add(1, 2)"}
GAP_USAGE = {"prompt_tokens": 20, "completion_tokens": 8, "total_tokens": 28}


def filled(gap: str, **members) -> dict:
    message = {"role": "assistant", "content": gap}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return {"model": "codestral-latest", "choices": choices, "usage": GAP_USAGE, **members}


def test_what_mistral_fills_in_is_billed(gateway, mock):
    mock.script = reply(filled("return a + b"))
    assert gateway.post(FIM, GAP).json() == filled("return a + b")
    assert (mock.requests[0].target, mock.requests[0].json) == (FIM, GAP)
    assert counts(gateway.row) == ("settled", 20, 0, 8, 0)


def test_a_stream_of_what_mistral_fills_in_is_not_asked_for_its_usage(gateway, mock):
    last = content("b", choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
    pieces = [content("return "), content("a + "), last, chunk({"choices": [], "usage": GAP_USAGE})]
    mock.script = stream(*pieces, DONE)
    answer = gateway.post(FIM, {**GAP, "stream": True})
    assert answer.content == b"".join([*pieces, DONE])
    assert mock.requests[0].json == {**GAP, "stream": True}
    assert counts(gateway.row) == ("settled", 20, 0, 8, 0)


def test_what_follows_a_gap_is_part_of_an_estimated_prompt(gateway, mock):
    """14 and 9 characters are 4 and 3 tokens, and the 12 of the answer 3."""
    mock.script = reply(filled("return a + b", usage=None))
    gateway.post(FIM, GAP)
    assert counts(gateway.row) == ("estimated", 7, 0, 3, 0)


def test_filling_in_is_held_to_a_tokens_limits(gateway, mock):
    mock.script = reply(filled("x", model="gpt-4o-mini"))
    gateway.use(allowed_models=["gpt-4o-mini"])
    assert gateway.post(FIM, GAP).json()["error"]["code"] == "model_not_allowed"
    gateway.use(budget_usd="0.0001")
    # 200 tokens of answer cost 0.00012 dollars.
    gap = {**GAP, "model": "gpt-4o-mini"}
    refused = gateway.post(FIM, {**gap, "max_tokens": 200})
    assert refused.json()["error"]["code"] == "budget_exceeded"
    assert mock.requests == []
    assert gateway.post(FIM, {**gap, "max_tokens": 10}).status_code == 200
