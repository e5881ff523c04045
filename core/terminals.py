"""Printing untrusted text: control characters could rewrite the operator's terminal."""


def printable(text: object) -> str:
    """Return the text in one line, with `?` for control characters."""
    return "".join(character if character.isprintable() else "?" for character in str(text))


def escaped(text: str) -> str:
    """Return the text in one line, with control characters as escapes such as `\\x1b`."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )
