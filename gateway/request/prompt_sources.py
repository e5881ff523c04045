"""Where the prompt of a request is: in its body, or partly stored upstream.

Whatever is unknown counts as stored upstream.
"""

import re
from typing import Any, NamedTuple

from gateway.request.json_objects import OWN_MEMBERS, objects_in

# Where a prompt stands; a stored one is an object with an id. The last two are Gemini's.
_PROMPTS = frozenset(
    {
        *("messages", "input", "prompt", "instructions", "system", "questions", "images", "mask"),
        *("extra_body", "google"),
    }
)
# Members that bring in what was said before; a template may repeat any of the prompt.
_HISTORIES = frozenset({"previous_response_id", "conversation", "chat_template"})
# Members that bring in other text; those not of OpenAI are of Azure, OpenRouter, Qwen and xAI.
_OTHER_SOURCES = _HISTORIES | {
    *("prompt_id", "web_search_options"),
    *("data_sources", "plugins", "enable_search", "search_parameters"),
}
# Members that may have the upstream search; a stored prompt has tools of its own.
_SEARCHES = (_OTHER_SOURCES - _HISTORIES) | {"extra_body"}
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
# Members by which a part, or the request itself, names a file or holds one.
_FILES = frozenset(
    {
        *("image", "image_url", "video", "video_url", "audio", "audio_url", "input_audio"),
        *("file", "file_data", "file_id", "file_ids", "file_url", "cached_content"),
        *("images", "videos", "audios", "files", "documents"),
    }
)
_FILES_OF_REQUEST = _FILES - {"audio"}  # that says how the answer is to sound
# The model reads its prompt again when it makes less of it, as it does after a tool.
_COMPACTION = "context_management"
READ_MEMBERS = frozenset(
    {*_PROMPTS, *_OTHER_SOURCES, *_FILES_OF_REQUEST, _COMPACTION, "tools", "functions", "preset"}
)
# Models that search whatever they are asked: OpenAI's, Perplexity's, Groq's, any of OpenRouter's.
_SEARCHING_MODEL = re.compile(r"search|sonar|compound|:online\b")
# The text that an item with an id repeats; without any it stands for what the upstream keeps.
_ITEM_TEXTS = (
    *("content", "arguments", "output", "input", "function", "custom", "tool_calls"),
    "encrypted_content",
)
_DESCRIBED_TOOLS = frozenset({"function", "custom"})  # by the request itself
# Tools that clients run.
_CLIENT_TOOLS = _DESCRIBED_TOOLS | {
    *("apply_patch", "computer", "computer_use", "computer_use_preview", "local_shell"),
}


class Sources(NamedTuple):
    """Where the prompt of a request lies, and what it has the upstream do.

    `lies_upstream`: parts of it are not in the body, so that it may fill the context.
    `may_run_tools`: the upstream may run tools of its own, after each of which the model reads
    all of it again. It may search, also without them, or have another model make pictures.
    `opens_containers`: it runs programs in containers, each of which is paid for.
    `has_audio`: there is sound in it.
    """

    lies_upstream: bool
    may_run_tools: bool
    may_search: bool
    may_make_pictures: bool
    opens_containers: bool
    has_audio: bool


def read(body: dict[str, Any]) -> Sources:
    """Return where the prompt of a request lies."""
    parts = [*objects_in(*(body[name] for name in _PROMPTS & body.keys()))]
    grouped = objects_in(body.get("tools"), left_out=OWN_MEMBERS)
    described = [tool for holder in (body, *parts, *grouped) for tool in _tools(holder)]
    tools = {*map(_tool_type, described)}
    is_compacted = bool(body.get(_COMPACTION))
    may_run_tools = (
        is_compacted or isinstance(body.get("prompt"), dict) or not tools <= _CLIENT_TOOLS
    )
    return Sources(
        lies_upstream=is_compacted
        or not tools <= _DESCRIBED_TOOLS
        or _has_any(body, _OTHER_SOURCES)
        or _holds_any(body, _FILES_OF_REQUEST)
        or any(map(_lies_upstream, parts)),
        may_run_tools=may_run_tools,
        may_search=may_run_tools or _has_any(body, _SEARCHES),
        may_make_pictures=any(kind.endswith("image_generation") for kind in tools),
        opens_containers=any(map(_opens_container, described)),
        has_audio=any("input_audio" in (part.get("type"), *part) for part in parts),
    )


def searches_unasked(model: str) -> bool:
    """Return whether a model searches also for requests that say nothing of it."""
    return _SEARCHING_MODEL.search(model.casefold()) is not None


def _has_any(body: dict[str, Any], names: frozenset[str]) -> bool:
    # An empty object switches a search on.
    return any(body[name] not in (None, False, "") for name in names & body.keys())


def _holds_any(part: dict[str, Any], names: frozenset[str]) -> bool:
    return any(part[name] for name in names & part.keys())


def _tools(holder: dict[str, Any]) -> list[Any]:
    tools = holder.get("tools") or []
    return tools if isinstance(tools, list) else [tools]


def _tool_type(tool: Any) -> str:
    """Return the type of a tool; without one it is a function if it is named as one."""
    if not isinstance(tool, dict):
        return ""
    named = "function" if "function" in tool or "name" in tool else ""
    return str(tool.get("type") or named)


def _opens_container(tool: Any) -> bool:
    """Return whether a tool opens a container, and does not use one that is there."""
    match _tool_type(tool):
        case "code_interpreter":
            return not isinstance(tool.get("container"), str)
        case "shell":
            environment = tool.get("environment")
            kind = environment.get("type") if isinstance(environment, dict) else None
            return kind not in ("local", "container_reference")
    return False


def _lies_upstream(part: dict[str, Any]) -> bool:
    kind = part.get("type")
    if kind is not None and str(kind) not in _TEXT_PARTS:
        return True
    if _holds_any(part, _FILES):
        return True
    # The type of a reference to an item is optional.
    is_text = (kind or "role" in part) and any(part.get(name) for name in _ITEM_TEXTS)
    return bool(part.get("id")) and not is_text
