"""Names of members as several languages spell them."""

import re


def spellings(*names: str) -> tuple[str, ...]:
    """Return the names with each also as SDKs for Python spell it: `prompt_token_count`."""
    snake = (re.sub("[A-Z]", lambda letter: "_" + letter[0].lower(), name) for name in names)
    return (*names, *snake)


def with_dotnet(*names: str) -> tuple[str, ...]:
    """Return the spellings of the names with each also as .NET writes it: `PromptTokenCount`."""
    return (*spellings(*names), *(name[0].upper() + name[1:] for name in names))
