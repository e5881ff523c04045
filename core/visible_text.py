"""Whether a text is visible: a name of blanks and format characters looks empty."""

import unicodedata

from django.core.exceptions import ValidationError

# Letters and symbols by category, but rendered as blanks: Hangul fillers, the blank Braille
# pattern.
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")


def is_visible(text: str) -> bool:
    """Return whether the text has a letter, digit, sign or symbol to see.

    Marks do not count, as most are combined with another character.
    """
    return any(
        unicodedata.category(character)[0] in "LNPS" and character not in _BLANK
        for character in text
    )


def validate_visible(text: str) -> None:
    """Raise ValidationError, for fields of forms and models, if the text shows nothing."""
    if not is_visible(text):
        raise ValidationError("Enter a name with a visible character.")
