"""JSON columns whose numbers keep all their digits."""

import json

from django.db import models

from core import exact_json, json_writer
from core.errors import InvalidInput
from core.exact_json import exact_number


class ExactEncoder(json.JSONEncoder):
    """Writes Decimals as numbers, and integers of any size."""

    def encode(self, value: object) -> str:
        return json_writer.dumps(value).decode()


class ExactDecoder(json.JSONDecoder):
    """Reads numbers that a double would round as Decimals."""

    def __init__(self, **options) -> None:
        super().__init__(**options, parse_float=_number)


class StrictDecoder(json.JSONDecoder):
    """Reads form input by the rules of bodies: no NaN, infinity or lone surrogates."""

    def decode(self, text: str) -> object:
        try:
            return exact_json.loads(text.encode())
        except InvalidInput as error:
            raise json.JSONDecodeError(error.issues[0]["msg"], text, 0) from None


class PlainStrictDecoder(StrictDecoder):
    """Applies the same rules, for columns whose numbers are doubles."""

    def decode(self, text: str) -> object:
        super().decode(text)
        return json.loads(text)


def _number(digits: str) -> object:
    # Fifteen digits survive a double.
    return float(digits) if len(digits) <= 16 else exact_number(digits)


class ExactJSONField(models.JSONField):
    """A JSON column for values that clients sent."""

    def __init__(self, *args, **options) -> None:
        super().__init__(*args, **{**options, "encoder": ExactEncoder, "decoder": ExactDecoder})

    def formfield(self, **options):
        return super().formfield(**{"decoder": StrictDecoder, **options})

    def deconstruct(self):
        name, path, args, options = super().deconstruct()
        del options["encoder"], options["decoder"]
        return name, path, args, options
