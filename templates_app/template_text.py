"""A template as text, for people to read and compare."""

from collections.abc import Mapping
from difflib import unified_diff
from typing import Any

from core.admin_display import indented_json


def as_text(members: Mapping[str, Any]) -> str:
    """Return the members one after the other, texts as they are written."""
    parts = []
    for name, value in members.items():
        if name == "messages":
            parts += [f"[{message.get('role')}]\n{content_text(message)}" for message in value]
        elif value not in (None, "", {}, []):
            parts.append(f"{name}: {value if isinstance(value, str) else indented_json(value)}")
    return "\n".join(parts)


def content_text(message: Mapping[str, Any]) -> str:
    """Return the content of a message, with its further members as JSON below."""
    content = message.get("content")
    text = (
        content if isinstance(content, str) else "" if content is None else indented_json(content)
    )
    members = {name: value for name, value in message.items() if name not in ("role", "content")}
    return f"{text}\n{indented_json(members)}" if members else text


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Return the lines that differ, with some context; empty if none do."""
    lines = unified_diff(as_text(before).splitlines(), as_text(after).splitlines(), lineterm="")
    return "\n".join(line for line in lines if line not in ("--- ", "+++ "))
