"""Reading the JSON text of a receipt, more strictly than JSON is usually read.

A signature covers a value. Two readers that take one text for different values
(the first or the last of two equal names, digits beyond a double's) would
disagree on what was signed; such texts are refused.
"""

import json

from receipts.canonical import LARGEST_INTEGER


class Unreadable(ValueError):
    """The text is no JSON value that every reader takes for the same; says why."""


def read(text: bytes) -> object:
    """The value of a JSON text in UTF-8.

    Raises Unreadable for broken JSON, a name that occurs twice in one object,
    numbers that are not finite or beyond 2^53-1, half of a surrogate pair, and
    nesting without end.
    """
    try:
        value = _decoder.decode(text.decode())
        if b"\\u" in text:  # the only way in for half of a surrogate pair
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except UnicodeDecodeError:
        raise Unreadable("The text is not UTF-8") from None
    except UnicodeEncodeError:
        raise Unreadable("A text has half of a surrogate pair") from None
    except json.JSONDecodeError as error:
        raise Unreadable(f"{error.msg} at position {error.pos}") from None
    except RecursionError:
        raise Unreadable("JSON is nested too deeply") from None


def _object(members: list[tuple[str, object]]) -> dict:
    found = dict(members)
    if len(found) != len(members):
        names = [name for name, _ in members]
        twice = next(name for name in found if names.count(name) > 1)
        raise Unreadable(f'The member "{twice[:50]}" occurs twice')
    return found


def _integer(digits: str) -> int:
    # Converting very long digits costs quadratic time; none of them would be in range.
    if len(digits) > 17 or abs(number := int(digits)) > LARGEST_INTEGER:
        raise Unreadable("A number is beyond 2^53-1")
    return number


def _fraction(digits: str) -> float:
    number = float(digits)
    # Beyond it JCS writes doubles as integers that `_integer` refuses.
    if abs(number) > LARGEST_INTEGER:
        raise Unreadable("A number is beyond 2^53-1")
    return number


def _constant(name: str):
    raise Unreadable(f"{name} is no JSON number")


_decoder = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=_integer,
    parse_float=_fraction,
    parse_constant=_constant,
)
