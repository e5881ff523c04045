"""The syntax of e-mail addresses, and when two of them are the same.

Only ASCII is accepted: PostgreSQL and Unicode map some other letters onto ASCII ones
(`ı`, the Kelvin sign), so that a look-up would find somebody else's account.
"""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

MAX_LENGTH = 254
_ADDRESS = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@"
    r"(?!-)(?:[A-Za-z0-9-]{1,63}\.)*[A-Za-z0-9-]{0,62}[A-Za-z0-9]"
)


def key(address: str) -> str:
    """Return the key of an address, equal for all of its spellings. Same as User.email_key."""
    return address.strip().lower()


def is_address(text: str) -> bool:
    """Return whether the text has the form of an address."""
    return len(text) <= MAX_LENGTH and bool(_ADDRESS.fullmatch(text)) and ".." not in text


def _checked(text: str) -> str:
    address = text.strip(" \t\r\n")
    if not is_address(address):
        raise PydanticCustomError("email", "Input should be an e-mail address of ASCII characters")
    return address


EmailAddress = Annotated[
    str,
    Field(max_length=MAX_LENGTH + 50),
    AfterValidator(_checked),
    WithJsonSchema({"type": "string", "format": "email", "maxLength": MAX_LENGTH}),
]
