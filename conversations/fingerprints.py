"""Hashes of contents, and the plain form in which equal contents have equal hashes.

Clients send the same message again as other JSON: a text as a part, arguments parsed and
serialized once more. A message is recognized by the hash of its plain form.
"""

import json
import re
from decimal import Decimal
from hashlib import sha256

import rfc8785
from rest_framework.exceptions import ParseError

from core import exact_json, json_writer
from core.errors import InvalidInput
from core.schemas import SAFE_INTEGER_MAX

# Of Anthropic's blocks and of OpenAI's items; Gemini's parts have `thought: true`.
_THOUGHTS = {"thinking", "redacted_thinking", "reasoning"}
# Members of parts that are not content.
_MARKS = {"cache_control", "thoughtSignature", "thought_signature"}
_MAX_PARSED_ARGUMENTS = 64 * 1024  # characters; larger ones are compared as they are


def content_hash(content: object) -> str | None:
    """Return the SHA-256 of text, or of the canonical JSON of anything else; None if empty."""
    if not content:
        return None
    octets = content.encode() if isinstance(content, str) else _canonical(content)
    return sha256(octets).hexdigest()


def plain_content(content: object) -> object:
    """Return the form of a content that is the same however a client sends it again.

    Clients send a text as a part, move the marks of a provider's cache, leave out what the
    model thought, and add or remove members that are empty.
    """
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        return content
    without_thoughts = [part for part in content if not is_thought(part)]
    plain = [_plain_part(part) for part in without_thoughts or content]
    [first, *others] = plain or [{}]
    is_text = first.keys() == {"type", "text"} and isinstance(first["text"], str)
    return first["text"] if is_text and not others else plain


def is_thought(part: object) -> bool:
    """Return whether a part of a content is a thought of the model."""
    if not isinstance(part, dict):
        return False
    kind = part.get("type")
    return part.get("thought") is True or (isinstance(kind, str) and kind in _THOUGHTS)


def _plain_part(part: dict) -> dict:
    kept = {
        name: value
        for name, value in part.items()
        if name not in _MARKS and value is not None and value != []
    }
    if kept.get("type") in ("input_text", "output_text"):
        kept["type"] = "text"
    return kept


def digest(value: object) -> dict:
    """Return what is stored of a value at level `metadata`: SHA-256 and size in bytes."""
    if _is_digest(value):  # from an export made at this level
        return value
    octets = _canonical(value)
    return {"sha256": sha256(octets).hexdigest(), "size": len(octets)}


def digest_of_member(value: object) -> object:
    """Return what is stored at level `metadata` of a member that may hold content."""
    return digest(value) if isinstance(value, str | list | dict) else value


def digests(values: list | None) -> list[dict] | None:
    return None if values is None else [digest(value) for value in values]


def plain_calls(tool_calls: list[dict]) -> list[dict]:
    """Return the form of tool calls that is the same however a client sends them again.

    It lacks their positions in a stream, and arguments that are JSON have one spelling, since
    libraries parse and serialize them.
    """
    return [_plain_call(call) for call in tool_calls]


def _plain_call(call: dict) -> dict:
    plain = {name: value for name, value in call.items() if name != "index"}
    function = plain.get("function")
    if isinstance(function, dict) and isinstance(function.get("arguments"), str):
        plain["function"] = {**function, "arguments": _plain_arguments(function["arguments"])}
    return plain


def _plain_arguments(text: str) -> str:
    if len(text) > _MAX_PARSED_ARGUMENTS:
        return text
    try:
        # A call without arguments has no text, or an empty object.
        body = text.encode() if text.strip() else b"{}"
        parsed = exact_json.loads(body, unique_members=True)
        return _canonical(plain_numbers(parsed)).decode() if isinstance(parsed, dict) else text
    except (InvalidInput, ParseError, RecursionError):
        return text


def _is_digest(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"sha256", "size"}
        and isinstance(value["sha256"], str)
        and re.fullmatch("[0-9a-f]{64}", value["sha256"]) is not None
        and isinstance(value["size"], int)
    )


def _canonical(value: object) -> bytes:
    """Return RFC 8785; for numbers that it does not allow, JSON with sorted names."""
    try:
        return rfc8785.dumps(value)
    except rfc8785.CanonicalizationError:
        value = plain_numbers(value)
    try:
        return rfc8785.dumps(value)
    except rfc8785.CanonicalizationError:
        text = json.dumps(
            value,
            sort_keys=True,
            separators=(",", ":"),
            ensure_ascii=False,
            default=json_writer.plain,
        )
        return text.encode()


def plain_numbers(value: object) -> object:
    """Return a JSON value with each number in the type that RFC 8785 writes, if one keeps it.

    Beside a long number, the parser makes Decimals also of short ones, and a large double
    is an integer when it comes back from the database.
    """
    match value:
        case dict():
            return {name: plain_numbers(inner) for name, inner in value.items()}
        case list():
            return [plain_numbers(inner) for inner in value]
        case bool():
            return value
        case int() | float() | Decimal():
            return _plain_number(value)
    return value


def _plain_number(number: int | float | Decimal) -> int | float | Decimal:
    try:
        double = float(number)
    except OverflowError:
        return number
    if Decimal(repr(double)) != number:
        return number
    return int(double) if double.is_integer() and abs(double) <= SAFE_INTEGER_MAX else double
