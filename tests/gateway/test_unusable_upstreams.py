"""A call that names an upstream reaches that one or none: the default must not see its prompt."""

import logging

import pytest

from gateway import upstreams
from gateway.models import Upstream
from tests.gateway.calls import within_a_second
from tests.gateway.test_odd_values import code
from tests.gateway.upstream import chat, reply

BROKEN = {
    "switched off": {"is_enabled": False},
    "base URL": {"base_url": "foo"},
    "misspelled option": {"options": {"retry": 2}},
    "options of another shape": {"options": [1]},
    "option that is a column": {"options": {"api_key": "gsk-secret"}},
}


@pytest.fixture
def groq(mock):
    """Store an upstream as the admin does, or as it was stored before forms were checked."""

    def make(**columns) -> Upstream:
        base_url = columns.pop("base_url", f"{mock.url}/openai/v1")
        return Upstream.objects.create(name="groq", base_url=base_url, **columns)

    return make


@pytest.mark.parametrize("columns", BROKEN.values(), ids=[*BROKEN])
def test_prompt_of_an_unusable_upstream_is_sent_nowhere(gateway, mock, groq, columns):
    groq(**columns)
    mock.script = reply(chat())
    refused = gateway.chat("groq:llama-3.3-70b")
    assert code(refused) == (503, "upstream_unusable")
    assert refused.headers["x-should-retry"] == "false"
    pinned = gateway.use(upstream="groq").chat("llama-3.3-70b")
    assert code(pinned) == (503, "upstream_unusable")
    assert not mock.requests and not gateway.rows
    assert gateway.use().chat("gpt-4o-mini").status_code == 200


def test_poll_of_an_unusable_upstream_is_sent_nowhere(gateway, mock, groq, own_key):
    row = groq()
    own_key("gsk-own-key-0123456789", upstream="groq")
    mock.script = reply({"id": "resp_1", "object": "response", "status": "queued"})
    asked = {"model": "groq:gpt-5-mini", "input": "x", "background": True}
    within_a_second(lambda: gateway.post("/v1/responses", asked).status_code == 200)
    row.is_enabled = False
    row.save()
    poll = "/v1/responses/resp_1"
    within_a_second(lambda: code(gateway.get(poll)) == (503, "upstream_unusable"))
    known = len(mock.requests)
    assert code(gateway.get(poll)) == (503, "upstream_unusable")
    assert len(mock.requests) == known


def test_provider_of_an_unusable_upstream_reaches_only_another_one_of_it(
    gateway, mock, groq, upstreams_file
):
    groq(options={"provider": "meta"}, is_enabled=False)
    assert code(gateway.chat("meta:llama")) == (503, "upstream_unusable")
    upstreams_file(f"apis:\n  other: {{base_url: {mock.url}, api_key: k, provider: meta}}\n")
    mock.script = reply(chat())
    assert gateway.chat("meta:llama").status_code == 200
    assert [row.upstream for row in gateway.rows] == ["other"]


def test_alias_of_a_provider_without_an_upstream_is_sent_nowhere(gateway, mock):
    gateway.bind_alias("smart", "anthropic:claude-sonnet-4")
    within_a_second(lambda: code(gateway.chat("smart")) == (404, "endpoint_not_found"))
    mock.requests.clear()
    assert code(gateway.chat("smart")) == (404, "endpoint_not_found")
    assert not mock.requests


def test_upstream_that_is_gone_is_known_by_the_projects_key(gateway, mock, own_key):
    own_key("gsk_0123456789", upstream="groq")
    refused = gateway.chat("groq:llama")
    assert code(refused) == (404, "endpoint_not_found")
    assert not mock.requests


def test_prefix_of_no_upstream_is_a_part_of_the_models_name(gateway, mock):
    mock.script = reply(chat())
    name = "ft:gpt-4o-mini-2024-07-18:org::id"
    assert gateway.chat(name).status_code == 200
    assert mock.requests[0].json["model"] == name


def test_reason_is_logged_without_what_may_be_secret(gateway, groq, caplog):
    groq(base_url="https://user:hunter2@groq.example", options={"retry": 2, "api_key": "gsk-x"})
    with caplog.at_level(logging.ERROR, "gateway.upstreams"):
        upstreams.load()
    [line] = caplog.messages
    assert line.startswith("upstream groq is not usable: base_url: should have no user name")
    assert "options.retry: Extra inputs are not permitted" in line
    assert "hunter2" not in line and "gsk-x" not in line
