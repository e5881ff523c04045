"""Whether a text shows anything: names of blanks and format characters look like none."""

import unicodedata

from django.core.exceptions import ValidationError

# Letters and symbols by their category, which are drawn as blanks: fillers of Hangul, the
# empty Braille pattern.
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")


def is_visible(text: str) -> bool:
    """Return whether the text has a letter, digit, sign or symbol to see.

    Marks do not count by themselves, as most are drawn upon another character.
    """
    return any(
        unicodedata.category(character)[0] in "LNPS" and character not in _BLANK
        for character in text
    )


def validate_visible(text: str) -> None:
    """Raise ValidationError, for fields of forms and models, if the text shows nothing."""
    if not is_visible(text):
        raise ValidationError("Enter a name with a visible character.")
