"""Texts of strangers on an operator's terminal."""


def printable(text: object) -> str:
    """Return the text in one line, without control characters: they can rewrite a terminal."""
    return "".join(character if character.isprintable() else "?" for character in str(text))
