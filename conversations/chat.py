"""A conversation as the admin shows it: messages in turn, long texts folded."""

from dataclasses import dataclass

from django.db.models import QuerySet

from conversations import storage
from conversations.models import Message
from core.admin import indented_json

MESSAGES_PER_PAGE = 100
MAX_UNFOLDED = 600  # characters
_EXTRAS = (
    "name",
    "content_parts",
    "tool_calls",
    "tool_call_id",
    "tool_results",
    "extra",
    "metadata",
)


@dataclass(frozen=True, slots=True)
class Turn:
    """One message: its text, or why there is none, and what came with it as pretty JSON."""

    message: Message
    head: str
    rest: str
    extras: list[tuple[str, str]]

    @property
    def is_hidden(self) -> bool:
        """Whether there was a text, which the privacy level excluded."""
        parts = self.message.content_parts
        return not self.head and not parts and self.message.content_hash is not None


@dataclass(frozen=True, slots=True)
class Page:
    """Turns in order; `before` and `after` are positions to go on from, None at the ends."""

    turns: list[Turn]
    before: int | None
    after: int | None


def page(messages: QuerySet, *, before: int | None = None, after: int | None = None) -> Page:
    """Return the newest messages, or those next to a position. Three queries at most."""
    if after is not None:
        rows = list(messages.filter(position__gt=after).order_by("position")[:MESSAGES_PER_PAGE])
    else:
        older = messages if before is None else messages.filter(position__lt=before)
        rows = list(older.order_by("-position")[:MESSAGES_PER_PAGE])[::-1]
    if not rows:
        return Page([], None, None)
    first, last = rows[0].position, rows[-1].position
    return Page(
        [_turn(message) for message in rows],
        before=first if messages.filter(position__lt=first).exists() else None,
        after=last if messages.filter(position__gt=last).exists() else None,
    )


def _turn(message: Message) -> Turn:
    text = "\n\n".join(storage.texts_of(message.content, message.content_parts))
    extras = [
        (name.replace("_", " "), indented_json(value))
        for name in _EXTRAS
        if (value := getattr(message, name))
    ]
    return Turn(message, text[:MAX_UNFOLDED], text[MAX_UNFOLDED:], extras)
