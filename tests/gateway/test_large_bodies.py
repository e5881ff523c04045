"""What is in a large body is looked at in a thread: it would hold up all other calls."""

import asyncio

import pytest

from gateway import billing, metered_calls
from gateway.answer import answers, estimates, model_list, secret_masking
from gateway.protocols import openai_answers
from gateway.request import planning, restrictions, upstream_requests
from tests.gateway.conftest import counts
from tests.gateway.upstream import chat, chunk, reply, stop, stream

SIZES = pytest.mark.parametrize(("count", "is_small"), [(1, True), (5_000, False)])


@pytest.fixture
def watch(monkeypatch):
    """Return by the names of functions whether each ran in the event loop, every time."""

    def watch(module, *names: str, seen: dict[str, bool]) -> dict[str, bool]:
        for name in names:
            function = getattr(module, name)

            def watched(*arguments, name=name, function=function, **named):
                on_loop = asyncio._get_running_loop() is not None
                seen[name] = seen.get(name, on_loop) and on_loop
                return function(*arguments, **named)

            monkeypatch.setattr(module, name, watched)
        return seen

    return watch


@SIZES
def test_large_bodies_are_examined_in_a_thread(gateway, mock, watch, count, is_small):
    seen = watch(planning, "_rename_model", seen={})
    watch(upstream_requests, "with_body", seen=seen)
    watch(restrictions, "refuse_shared", "_check", seen=seen)
    gateway.use(allowed_models=["gpt-*"])
    gateway.bind_alias("fast", "openai:gpt-4o-mini")
    messages = [{"role": "user", "content": "Hello"}] * count
    assert gateway.chat("fast", messages=messages).status_code == 200
    assert seen == dict.fromkeys(
        ["_rename_model", "with_body", "refuse_shared", "_check"], is_small
    )
    assert gateway.row.model == "gpt-4o-mini"


@SIZES
@pytest.mark.parametrize("is_stream", [False, True])
def test_large_usage_is_read_in_a_thread(gateway, mock, watch, is_stream, count, is_small):
    seen = watch(billing, "outcome_of", seen={})
    watch(metered_calls, "_stated", seen=seen)
    details = {f"number of detail {n}": n for n in range(count)}
    answer = chat(usage={"prompt_tokens": 10, "completion_tokens": 5, "details": details})
    mock.script = stream(chunk(answer), stop()) if is_stream else reply(answer)
    gateway.chat(stream=is_stream)
    assert seen == {"outcome_of": is_small, "_stated": is_small}
    assert counts(gateway.row) == ("settled", 10, 0, 5, 0)


@SIZES
def test_large_answers_are_estimated_in_a_thread(gateway, mock, watch, count, is_small):
    seen = watch(answers, "_read", seen={})
    watch(openai_answers, "_output_estimate", seen=seen)
    choice = {"message": {"role": "assistant", "content": "Hello world, all"}}
    mock.script = reply(chat(choices=[choice] * count, usage=None))
    gateway.chat()
    assert seen == {"_read": is_small, "_output_estimate": is_small}
    # "user" and "Hello" of the request, and 16 characters of each choice.
    assert counts(gateway.row) == ("estimated", 3, 0, 4 * count, 0)


@SIZES
def test_large_requests_are_estimated_in_a_thread(gateway, mock, watch, count, is_small):
    seen = watch(estimates, "prompt_tokens", seen={})
    mock.script = reply(chat(usage=None))
    gateway.chat(messages=[{"content": "Hello world, all"}] * count)
    assert seen == {"prompt_tokens": is_small}
    assert counts(gateway.row) == ("estimated", 4 * count, 0, 2, 0)


@SIZES
def test_large_errors_are_masked_in_a_thread(gateway, mock, watch, count, is_small):
    seen = watch(secret_masking, "in_error", seen={})
    quoted = "the key sk-upstream-key-0123456789 is wrong "
    mock.script = reply({"error": {"message": quoted * count}}, 401)
    answer = gateway.chat()
    assert answer.json() == {"error": {"message": "the key *** is wrong " * count}}
    assert seen == {"in_error": is_small}


@SIZES
@pytest.mark.parametrize("is_cached", [False, True])
def test_large_lists_of_models_are_reduced_in_a_thread(
    gateway, mock, watch, is_cached, count, is_small
):
    gateway.use(allowed_models=["gpt-*"])
    models = [{"id": f"gpt-{n}", "object": "model"} for n in range(count)]
    listed = {"object": "list", "data": [{"id": "o3"}, *models]}
    mock.script = reply(listed, Cache_Control="public, max-age=60")
    if is_cached:
        gateway.get("/v1/models")
    seen = watch(model_list, "seen_by", seen={})
    answer = gateway.get("/v1/models")
    assert answer.json() == {"object": "list", "data": models}
    assert seen == {"seen_by": is_small}
    assert len(mock.requests) == 1
