"""JSON in, JSON out: the API's one parser, one renderer, and no negotiation."""

from decimal import Decimal

import orjson
from rest_framework.exceptions import ParseError
from rest_framework.metadata import SimpleMetadata
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer

from core.errors import InvalidInput, issue

_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS


def number(value: Decimal) -> orjson.Fragment:
    """A Decimal as a JSON number with all its digits and no exponent."""
    return orjson.Fragment(plain(value))


def plain(value: Decimal) -> str:
    """A Decimal's digits without exponent and without trailing zeros: `0.00024`, `0`, `12`."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def dumps(value: object) -> bytes:
    """Compact JSON; Decimals become numbers, times UTC with `Z`."""
    try:
        return orjson.dumps(value, default=_default, option=_OPTIONS)
    except TypeError as error:
        # Stored objects may hold any integer; orjson writes those of 64 bits.
        if "64-bit" not in str(error):
            raise
        return orjson.dumps(_with_written_integers(value), default=_default, option=_OPTIONS)


def _with_written_integers(value: object) -> object:
    match value:
        case dict():
            return {name: _with_written_integers(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_with_written_integers(inner) for inner in value]
        case int() if value.bit_length() > 63:
            return orjson.Fragment(str(value))
    return value


def _default(value: object) -> object:
    if isinstance(value, Decimal):
        return number(value)
    if isinstance(value, str):  # str subclasses: lazy and safe strings, ErrorDetail
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


class JSONParser(BaseParser):
    """Parses every body that does not say it is something else.

    Bodies of other content types are handed on as text, so that validation
    refuses them with `model_attributes_type` (docs/http-contract.md, Bodies).
    """

    media_type = "*/*"

    def parse(self, stream, media_type=None, parser_context=None):
        body = stream.read()
        return self.loads(body) if _is_json(media_type) else _text(body)

    def loads(self, body: bytes) -> object:
        """The value of a JSON body; a subclass may read it more strictly."""
        return loads(body)


def loads(body: bytes) -> object:
    """The JSON value of a request body.

    Raises InvalidInput (`missing` or `json_invalid`), or ParseError for bytes that are no text.
    """
    if not body.strip():
        raise InvalidInput([issue("missing", ["body"], "Field required", None)])
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        _text(body)
        raise InvalidInput(
            [issue("json_invalid", ["body", error.pos], "JSON decode error", {}, error=error.msg)]
        ) from None


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise ParseError("There was an error parsing the body") from None


_ALL_ZEROS = bytes.maketrans(b"123456789", b"0" * 9)
_MANY_DIGITS = b"0" * 19


def is_plain(text: bytes) -> bool:
    """Whether a JSON text has no NUL and no integer beyond 64 bits; seen without parsing it.

    PostgreSQL cannot store the one, and JSON writers refuse the other.
    """
    return b"\\u0000" not in text and _MANY_DIGITS not in text.translate(_ALL_ZEROS)


def _is_json(media_type: str | None) -> bool:
    kind = (media_type or "").split(";", 1)[0].strip().lower()
    return kind in ("", "*/*", "application/json") or (
        kind.startswith("application/") and kind.endswith("+json")
    )


class JSONRenderer(BaseRenderer):
    media_type = "application/json"
    format = "json"
    charset = None

    def render(self, data, accepted_media_type=None, renderer_context=None):
        return b"" if data is None else dumps(data)


class AlwaysJSON(BaseContentNegotiation):
    """Clients of this API send all sorts of `Accept`; the answer is JSON all the same."""

    def select_parser(self, request, parsers):
        return parsers[0]

    def select_renderer(self, request, renderers, format_suffix=None):
        return renderers[0], renderers[0].media_type


class Metadata(SimpleMetadata):
    """What answers OPTIONS: name and description; the members stand in /openapi.json."""

    def determine_actions(self, request, view) -> dict:
        return {}
