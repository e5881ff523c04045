"""Groq's own SDK against the gateway: its paths begin at the host (`/openai/v1/…`)."""

import pytest

from gateway.models import Token
from tests.gateway.conftest import counts
from tests.gateway.peers.environment import run_story
from tests.gateway.test_client_cases import MODELS
from tests.gateway.upstream import DONE, chat, content, reply, stop, stream

pytestmark = pytest.mark.peers


@pytest.fixture
def sdk(gateway, mock, upstreams_file):
    """Tell a story of the SDK, with a token of the upstream `groq`."""
    upstreams_file(f"apis:\n  groq: {{base_url: {mock.url}/openai/v1, api_key: groq-key}}\n")
    gateway.use(upstream="groq")
    return lambda story: run_story("groq", story, base_url=gateway.url, token=gateway.token)


def test_a_chat(gateway, mock, sdk):
    mock.script = reply(chat())
    assert sdk("chat") == ["Hello", 15]
    assert mock.requests[0].target == "/openai/v1/chat/completions"
    assert (gateway.row.upstream, counts(gateway.row)) == ("groq", ("settled", 10, 0, 5, 0))


def test_a_stream_whose_usage_stands_in_a_member_of_its_own(gateway, mock, sdk):
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    last = content("", x_groq={"id": "req_1", "usage": usage})
    mock.script = stream(content("Hel"), content("lo"), stop(), last, DONE)
    assert sdk("stream") == ["Hello", 15]
    assert counts(gateway.row) == ("settled", 10, 0, 5, 0)


def test_models(gateway, mock, sdk):
    mock.script = reply(MODELS)
    assert sdk("models") == ["gpt-4o", "gpt-4o-mini", "whisper-1"]
    assert gateway.rows == []


def test_a_revoked_token(gateway, mock, sdk):
    Token.objects.filter(id=gateway.token_row.id).revoke()
    assert sdk("refusal") == ["AuthenticationError", "token_inactive"]
    assert mock.requests == []
