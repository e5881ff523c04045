"""JSON replies: one writer, one renderer, no negotiation. Bodies: core/parsing.py."""

from decimal import Decimal

import orjson
from rest_framework.metadata import SimpleMetadata
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer

_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS


def number(value: Decimal) -> orjson.Fragment:
    """Return a Decimal as a JSON number with all its digits and no exponent."""
    return orjson.Fragment(plain(value))


def plain(value: Decimal) -> str:
    """Return a Decimal's digits with neither exponent nor trailing zeros: `0.00024`, `12`."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def dumps(value: object, *, sort_keys: bool = False) -> bytes:
    """Return compact JSON; Decimals become numbers, times UTC with `Z`."""
    options = _OPTIONS | orjson.OPT_SORT_KEYS if sort_keys else _OPTIONS
    try:
        return orjson.dumps(value, default=_default, option=options)
    except TypeError as error:
        # Stored objects may hold any integer; orjson writes those of 64 bits.
        if "64-bit" not in str(error):
            raise
        return orjson.dumps(_with_written_integers(value), default=_default, option=options)


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


class JSONRenderer(BaseRenderer):
    media_type = "application/json"
    format = "json"
    charset = None

    def render(self, data, accepted_media_type=None, renderer_context=None):
        return b"" if data is None else dumps(data)


class AlwaysJSON(BaseContentNegotiation):
    """Always selects JSON, whatever `Accept` is: clients send anything."""

    def select_parser(self, request, parsers):
        return parsers[0]

    def select_renderer(self, request, renderers, format_suffix=None):
        return renderers[0], renderers[0].media_type


class Metadata(SimpleMetadata):
    """The reply to OPTIONS: name and description; /openapi.json has the members."""

    def determine_actions(self, request, view) -> dict:
        return {}
