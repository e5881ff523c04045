"""What is in a large body is looked at in a thread: it would hold up all other calls."""

import asyncio

import pytest

from gateway.request import planning, restrictions, upstream_requests


@pytest.fixture
def on_loop(monkeypatch):
    """Return, by the names of what examines a body, whether it ran in the event loop."""
    seen = {}

    def watch(module, name):
        function = getattr(module, name)

        def watched(*arguments):
            seen[name] = asyncio._get_running_loop() is not None
            return function(*arguments)

        monkeypatch.setattr(module, name, watched)

    watch(planning, "_rename_model")
    watch(upstream_requests, "with_body")
    watch(restrictions, "refuse_shared")
    watch(restrictions, "_check")
    return seen


@pytest.mark.parametrize(("count", "is_small"), [(1, True), (5_000, False)])
def test_large_bodies_are_examined_in_a_thread(gateway, mock, on_loop, count, is_small):
    gateway.use(allowed_models=["gpt-*"])
    gateway.bind_alias("fast", "openai:gpt-4o-mini")
    messages = [{"role": "user", "content": "Hello"}] * count
    assert gateway.chat("fast", messages=messages).status_code == 200
    assert on_loop == dict.fromkeys(
        ["_rename_model", "with_body", "refuse_shared", "_check"], is_small
    )
    assert gateway.row.model == "gpt-4o-mini"
