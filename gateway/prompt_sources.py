"""Where the prompt of a request lies: in its body, or with the upstream as well.

What we do not know counts as lying upstream.
"""

from collections.abc import Iterable
from typing import Any

from gateway.json_objects import objects_in

# Where a prompt stands; a stored one is an object with an id. `extra_body` is Gemini's.
_PROMPTS = (
    *("messages", "input", "prompt", "instructions", "system", "questions", "images", "mask"),
    "extra_body",
)
# Members that bring in what was said before.
_HISTORIES = ("previous_response_id", "conversation")
# Members that bring in other text; those not of OpenAI are of Azure, OpenRouter, Qwen and xAI.
_OTHER_SOURCES = (
    *_HISTORIES,
    *("prompt_id", "web_search_options"),
    *("data_sources", "plugins", "preset", "enable_search", "search_parameters"),
)
# Members that may have the upstream use tools; a stored prompt has some of its own.
_TOOL_SOURCES = (*(name for name in _OTHER_SOURCES if name not in _HISTORIES), "extra_body")
READ_MEMBERS = frozenset({*_PROMPTS, *_OTHER_SOURCES, "tools", "functions"})
# Parts that are their own text. The bytes of a picture say nothing of its tokens.
_TEXT_PARTS = frozenset(
    {
        *("message", "text", "input_text", "output_text", "refusal", "url_citation", "ephemeral"),
        *("reasoning", "summary_text", "reasoning_text", "thinking"),
        *("function", "function_call", "function_call_output", "tool_use", "tool_result"),
        *("custom", "custom_tool_call", "custom_tool_call_output", "direct"),
        *("predicate", "choice", "score"),  # questions of /v1/decisions
    }
)
# Members by which a part names a file, or holds one.
_FILES = frozenset(
    {
        *("image", "image_url", "video", "video_url", "audio", "audio_url", "input_audio"),
        *("file", "file_data", "file_id", "file_ids", "file_url", "cached_content"),
    }
)
# The text that an item with an id repeats; without any it stands for what the upstream keeps.
_ITEM_TEXTS = (
    *("content", "arguments", "output", "input", "function", "custom", "tool_calls"),
    "encrypted_content",
)
_CLIENT_TOOLS = frozenset({"function", "custom"})  # which the request describes itself


def lie_upstream(body: dict[str, Any]) -> bool:
    """Return whether parts of the prompt are not in the body, so that it may fill the context."""
    return (
        _has_any(body, _OTHER_SOURCES)
        or _has_upstream_tools(body)
        or any(map(_lies_upstream, _parts(body)))
    )


def may_use_tools(body: dict[str, Any]) -> bool:
    """Return whether the upstream may use tools of its own, such as searches, for this call."""
    return (
        _has_any(body, _TOOL_SOURCES)
        or isinstance(body.get("prompt"), dict)
        or _has_upstream_tools(body)
    )


def _has_any(body: dict[str, Any], names: Iterable[str]) -> bool:
    # An empty object switches a search on.
    return any(body.get(name) not in (None, False, "") for name in names)


def _has_upstream_tools(body: dict[str, Any]) -> bool:
    holders = (body, *_parts(body))
    return any(_tool_type(tool) not in _CLIENT_TOOLS for part in holders for tool in _tools(part))


def has_audio(body: dict[str, Any]) -> bool:
    """Return whether the prompt has sound in it."""
    return any("input_audio" in (part.get("type"), *part) for part in _parts(body))


def _parts(body: dict[str, Any]) -> list[dict[str, Any]]:
    return list(objects_in(*(body.get(name) for name in _PROMPTS)))


def _tools(holder: dict[str, Any]) -> list[Any]:
    tools = holder.get("tools") or []
    return tools if isinstance(tools, list) else [tools]


def _tool_type(tool: Any) -> str:
    """Return the type of a tool; without one it is a function if it is named as one."""
    if not isinstance(tool, dict):
        return ""
    named = "function" if "function" in tool or "name" in tool else ""
    return str(tool.get("type") or named)


def _lies_upstream(part: dict[str, Any]) -> bool:
    kind = part.get("type")
    if kind is not None and str(kind) not in _TEXT_PARTS:
        return True
    if any(part[name] for name in _FILES & part.keys()):
        return True
    # The type of a reference to an item is optional.
    is_text = (kind or "role" in part) and any(part.get(name) for name in _ITEM_TEXTS)
    return bool(part.get("id")) and not is_text
