"""Privacy levels: a message is stored whole, without its content, or not at all.

Source: docs/http-contract/conversations.md, section "Privacy levels".
"""

from typing import Any

from django.conf import settings

from conversations.fingerprints import digest_of_member, digests, plain_calls

NONE, METADATA, FULL = LEVELS = ("none", "metadata", "full")

# Members of a message's metadata in which clients keep texts, whether they are spelled
# `tool_calls` or `toolCalls`.
_CONTENT_MEMBERS = {
    "answer",
    "arguments",
    "chathistory",
    "completion",
    "content",
    "functioncall",
    "history",
    "input",
    "instructions",
    "messages",
    "output",
    "prompt",
    "query",
    "question",
    "reasoning",
    "reasoningcontent",
    "refusal",
    "response",
    "result",
    "summary",
    "systemprompt",
    "text",
    "thinking",
    "thought",
    "thoughts",
    "toolcall",
    "toolcalls",
    "toolinput",
    "toolresult",
    "toolresults",
    "transcript",
    "userprompt",
}
_SEPARATORS = str.maketrans("", "", "_- .")


def effective(requested: str) -> str:
    """Return the stricter of the server's level and the requested one."""
    return min(settings.MESSAGE_LOGGING_LEVEL, requested, key=LEVELS.index)


def without_content(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row of a message as it is stored at level `metadata`."""
    stored = {
        name: value for name, value in row.items() if name not in ("content", "content_parts")
    }
    stored["metadata"] = _without(row["metadata"])
    if "tool_calls" in row:
        stored["tool_calls"] = digests(plain_calls(row["tool_calls"]))
    if "tool_results" in row:
        stored["tool_results"] = digests(row["tool_results"])
    if "extra" in row:
        members = row["extra"].items()
        # What is empty has nothing to hide, and says as much as a member that was not sent.
        stored["extra"] = {name: value and digest_of_member(value) for name, value in members}
    return stored


def _without(value: object) -> object:
    """Return metadata with digests where members, at any depth, hold content."""
    if isinstance(value, list):
        return [_without(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: digest_of_member(inner) if _may_hold_content(name) else _without(inner)
        for name, inner in value.items()
    }


def _may_hold_content(name: str) -> bool:
    return name.lower().translate(_SEPARATORS) in _CONTENT_MEMBERS
