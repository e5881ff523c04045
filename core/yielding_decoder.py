"""A JSON reader that lets other threads run.

Readers in C hold the interpreter's lock from the first byte to the last: ten megabytes of
small numbers would stop every other request for a third of a second. This one is Python's
own reader without its C accelerator, and takes some six times as long.
"""

import json
from json import decoder, scanner
from typing import Any

# The garbage collector traverses all of them as soon as it is enabled again.
MAX_CONTAINERS = 200_000


class YieldingDecoder(json.JSONDecoder):
    """Reads what orjson reads: no NaN, no digits of other scripts, no lone surrogates.

    `object_pairs_hook` is called for objects that name a member twice. Raises ValueError
    also for more than `MAX_CONTAINERS` lists and objects.
    """

    def __init__(self, *, parse_float, parse_int, object_pairs_hook=None) -> None:
        self._containers = 0
        self._make_object = object_pairs_hook
        super().__init__(
            parse_float=lambda digits: parse_float(_ascii(digits)),
            parse_int=lambda digits: parse_int(_ascii(digits)),
            parse_constant=_refuse_constant,
            object_pairs_hook=self._object,
        )
        self.parse_array = self._array
        self.parse_string = _string
        self.scan_once = scanner.py_make_scanner(self)

    def _object(self, members: list[tuple[str, Any]]) -> dict[str, Any]:
        self._count()
        value = {}
        for name, member in members:  # unlike dict(members), lets other threads run
            name.encode()
            value[name] = member
        if len(value) != len(members) and self._make_object:
            return self._make_object(members)
        return value

    def _array(self, *arguments: Any) -> tuple[list, int]:
        self._count()
        return decoder.JSONArray(*arguments)

    def _count(self) -> None:
        self._containers += 1
        if self._containers > MAX_CONTAINERS:
            raise ValueError(f"JSON has more than {MAX_CONTAINERS} lists and objects")


def _string(text: str, start: int, strict: bool = True) -> tuple[str, int]:
    value, end = decoder.scanstring(text, start, strict)
    value.encode()  # UnicodeEncodeError, a ValueError, of lone surrogates
    return value, end


def _ascii(digits: str) -> str:
    if not digits.isascii():
        raise ValueError("unexpected character in a number")
    return digits


def _refuse_constant(name: str) -> None:
    raise ValueError(f"unexpected {name}")
