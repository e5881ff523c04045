"""The endpoints of OpenAI's API: which there are, what each carries, and how it is billed.

Source: OpenAI's API reference, 2026-11; docs/gateway.md, section "Endpoints".
"""

import re
from functools import lru_cache
from typing import NamedTuple

from gateway.protocols.protocol import Billing, Body, Endpoint, Matched

_POST, _GET, _READ = ("POST",), ("GET", "HEAD"), ("GET", "HEAD", "DELETE")
RESPONSES = "responses"
_ANY = ("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE")
# What OpenAI's own clients send to make a conversation, and to change an object.
_UPDATE = (frozenset({"metadata"}),)
_CREATION = (*_UPDATE, frozenset(), frozenset({"items"}), frozenset({"items", "metadata"}))


def _call(name: str, body: Body = Body.JSON, **members) -> Endpoint:
    defaults = {"has_model": True, "has_answer": True}
    return Endpoint(name, _POST, Billing.STATED, body, **defaults | members)


def _objects(
    name: str,
    methods: tuple[str, ...] = _ANY,
    body: Body = Body.JSON,
    *,
    billed: bool = False,
    **members,
) -> Endpoint:
    billing = Billing.LATER if billed else Billing.FREE
    return Endpoint(name, methods, billing, body, is_stateful=True, **members)


class _Path(NamedTuple):
    pattern: re.Pattern
    endpoint: Endpoint


def _path(pattern: str, endpoint: Endpoint) -> _Path:
    """`*` stands for one segment, `**` for any number of them."""
    expression = re.escape(pattern).replace(r"/\*\*", r"(?:/[^/]+)*").replace(r"\*", r"[^/]+")
    return _Path(re.compile(expression), endpoint)


# The first that fits the path and the method.
_PATHS = (
    _path(
        "/chat/completions",
        _call(
            "chat_completions",
            answer_limits=("max_tokens", "max_completion_tokens"),
            takes_usage_option=True,
            deferring=("deferred",),  # xAI's
        ),
    ),
    _path("/chat/completions", _objects("stored_completions", _GET)),
    # To vLLM `batch` is no id of a stored one: it answers several chats.
    _path("/chat/completions/*", _objects("stored_completions", _POST, free_requests=_UPDATE)),
    _path("/chat/completions/*/**", _objects("stored_completions", _READ)),
    _path(
        "/completions",
        _call("completions", answer_limits=("max_tokens",), takes_usage_option=True),
    ),
    # Mistral's, whose streams state their usage unasked.
    _path("/fim/completions", _call("completions", answer_limits=("max_tokens",))),
    _path(
        "/responses",
        _call(RESPONSES, answer_limits=("max_output_tokens",), tool_limit="max_tool_calls"),
    ),
    _path("/responses/compact", _call(RESPONSES)),
    _path(
        "/responses/input_tokens",
        Endpoint("count_tokens", _POST, body=Body.JSON, has_model=True),
    ),
    _path(
        "/responses/*",
        Endpoint("stored_responses", _READ, is_stateful=True, shows_result=True),
    ),
    _path(
        "/responses/*/cancel",
        Endpoint("stored_responses", _POST, body=Body.JSON, is_stateful=True, shows_result=True),
    ),
    _path("/responses/*/**", _objects("stored_responses", _READ)),
    _path("/decisions", _call("decisions")),
    _path("/embeddings", _call("embeddings", has_answer=False)),
    _path("/moderations", Endpoint("moderations", _POST, body=Body.JSON)),
    _path("/content_provenance_checks", Endpoint("provenance_checks", _POST, body=Body.FORM)),
    _path("/images/generations", _call("images", is_media=True)),
    _path("/images/edits", _call("images", Body.FORM, is_media=True)),
    _path("/images/variations", _call("images", Body.FORM, is_media=True)),
    _path("/audio/speech", _call("speech", is_media=True)),
    _path("/audio/transcriptions", _call("transcriptions", Body.FORM, is_media=True)),
    _path("/audio/translations", _call("transcriptions", Body.FORM, is_media=True)),
    _path("/audio/voices/**", _objects("voices", body=Body.FORM)),
    _path("/audio/voice_consents/**", _objects("voices", body=Body.FORM)),
    # Ids of many servers have slashes.
    _path("/models/**", Endpoint("models", _GET, lists_models=True)),
    _path("/models/*", _objects("models", ("DELETE",))),
    _path("/files", _objects("files", (*_GET, "POST"), Body.FORM)),
    _path("/files/**", _objects("files")),
    _path("/uploads/*/parts", _objects("uploads", _POST, Body.FORM)),
    _path("/uploads/**", _objects("uploads")),
    _path("/batches", _objects("batches", _POST, billed=True)),
    _path("/batches/*/requests", _objects("batches", _POST, billed=True)),  # xAI's
    _path("/batches/**", _objects("batches")),
    _path("/vector_stores/**", _objects("vector_stores")),
    _path("/containers", _objects("containers", _POST, billed=True)),
    _path("/containers/*/files", _objects("containers", _POST, Body.FORM)),
    _path("/containers/**", _objects("containers")),
    # Those of Mistral answer what they are sent.
    _path("/conversations", _objects("conversations", _POST, free_requests=_CREATION)),
    _path("/conversations/*", _objects("conversations", _POST, free_requests=_UPDATE)),
    _path("/conversations/*/restart", _objects("conversations", _POST, billed=True)),
    _path("/conversations/**", _objects("conversations")),
    _path("/skills/**", _objects("skills", body=Body.FORM)),
    _path("/chatkit/threads/**", _objects("chatkit_threads")),
    _path("/agents/sessions/**", _objects("agents", _POST, billed=True)),
    _path("/agents/automations/**", _objects("agents", _POST, billed=True)),
    _path("/agents/environments/**", _objects("agents", _POST, billed=True)),
    _path("/agents/completions", _objects("agents", _POST, billed=True)),  # Mistral's
    _path("/agents/**", _objects("agents")),
    _path("/vaults/**", _objects("vaults")),
    _path("/fine_tuning/jobs", _objects("fine_tuning", _POST, billed=True)),
    _path("/fine_tuning/jobs/*/resume", _objects("fine_tuning", _POST, billed=True)),
    _path("/fine_tuning/jobs/*/start", _objects("fine_tuning", _POST, billed=True)),  # Mistral's
    _path("/fine_tuning/alpha/**", _objects("fine_tuning", _POST, billed=True)),
    _path("/fine_tuning/**", _objects("fine_tuning")),
    _path("/assistants/**", _objects("assistants")),
    _path("/threads/runs", _objects("threads", _POST, billed=True)),
    _path("/threads/*/runs", _objects("threads", _POST, billed=True)),
    _path("/threads/*/runs/*/submit_tool_outputs", _objects("threads", _POST, billed=True)),
    _path("/threads/**", _objects("threads")),
    _path("/evals/**", _objects("evals", _POST, billed=True)),
    _path("/evals/**", _objects("evals")),
    _path("/videos/**", _objects("videos", _POST, Body.FORM, billed=True)),
    _path("/videos/**", _objects("videos")),
)
# They hand out access past this gateway, or need a socket that it does not relay.
_DIRECT_ACCESS = re.compile(r"(/openai)?(/v1)?/(realtime|live|chatkit/sessions)(/.*)?")
_AZURE_DEPLOYMENT = re.compile(r"/deployments/([^/]+)(/.+)")


def gives_direct_access(path: str) -> bool:
    """Return whether a path hands out access past this gateway."""
    return _DIRECT_ACCESS.fullmatch(path) is not None


@lru_cache(maxsize=1024)
def match(path: str) -> tuple[Matched, ...]:
    """Return the endpoints of a path of OpenAI's or Azure's API, whatever their method.

    `path` is decoded, without repeated or final slashes. Azure's newer paths are also what
    Groq's own SDKs ask for.
    """
    prefix, _, rest = path.removeprefix("/").partition("/")
    rest = f"/{rest}"
    if prefix == "v1":
        return _matches(rest, rest)
    if prefix != "openai":
        return ()
    if deployment := _AZURE_DEPLOYMENT.fullmatch(rest):
        name, below = deployment.groups()
        return _matches(below, below, deployment=name, is_azure=True)
    version, _, newer = rest.removeprefix("/").partition("/")
    if version == "v1":
        return _matches(f"/{newer}", rest, is_azure=True, openai_path=f"/{newer}")
    return _matches(rest, rest, is_azure=True)


def _matches(endpoint_path: str, path: str, **named) -> tuple[Matched, ...]:
    return tuple(
        Matched(endpoint, path, **_ids(endpoint, endpoint_path), **named)
        for pattern, endpoint in _PATHS
        if pattern.fullmatch(endpoint_path)
    )


def _ids(endpoint: Endpoint, path: str) -> dict[str, str]:
    """Return what the path says that a request is about, as members of Matched."""
    if endpoint.name == "models":
        return {"model_id": path.removeprefix("/models").removeprefix("/")}
    if endpoint.name == "stored_responses":
        return {"response_id": path.removeprefix("/responses/").partition("/")[0]}
    return {}
