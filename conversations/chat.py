"""A conversation as the admin shows it: its messages in order, long texts folded."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet

from conversations import markdown, storage
from conversations.models import Message
from core.admin_display import indented_json

MESSAGES_PER_PAGE = 100
MAX_UNFOLDED = 600  # characters of a text that is too long to be formatted
MAX_FORMATTED = 40_000  # characters of a page that are formatted: a fifth of a second
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
class ShownMessage:
    """One message: its text, or why there is none, and what came with it as pretty JSON.

    `formatted` is the text as HTML; None for one that is too long for it.
    """

    message: Message
    text: str
    formatted: str | None
    extras: list[tuple[str, str]]

    @property
    def head(self) -> str:
        return self.text[:MAX_UNFOLDED]

    @property
    def rest(self) -> str:
        return self.text[MAX_UNFOLDED:]

    @property
    def called_tools(self) -> str:
        """The names of the tools that the message calls."""
        return ", ".join(_tool_names(self.message.tool_calls))

    @property
    def cost(self) -> Decimal | None:
        """US dollars, None if it is not known."""
        is_unpriced = self.message.metadata.get("cost_source") == "unpriced"
        return None if is_unpriced else self.message.cost

    @property
    def is_answer_of_call(self) -> bool:
        """Whether it is the answer of a call, which has a cost, known or not."""
        metadata = self.message.metadata
        return self.message.cost is not None or "cost_source" in metadata

    @property
    def model(self) -> str:
        return _first_text(self.message.metadata, "model", "model_used")

    @property
    def latency_ms(self) -> int | None:
        value = self.message.metadata.get("latency_ms")
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    @property
    def is_hidden(self) -> bool:
        """Whether the message had a text that the privacy level excluded."""
        parts = self.message.content_parts
        return not self.head and not parts and self.message.content_hash is not None


@dataclass(frozen=True, slots=True)
class ChatPage:
    """Messages in order. `before` and `after` are positions of adjacent pages, None at the ends."""

    messages: list[ShownMessage]
    before: int | None
    after: int | None


def page(messages: QuerySet, *, before: int | None = None, after: int | None = None) -> ChatPage:
    """Return the newest messages, or those next to a position. Three queries at most."""
    if after is not None:
        rows = list(messages.filter(position__gt=after).order_by("position")[:MESSAGES_PER_PAGE])
    else:
        older = messages if before is None else messages.filter(position__lt=before)
        rows = list(older.order_by("-position")[:MESSAGES_PER_PAGE])[::-1]
    if not rows:
        return ChatPage([], None, None)
    first, last = rows[0].position, rows[-1].position
    return ChatPage(
        _shown(rows),
        before=first if messages.filter(position__lt=first).exists() else None,
        after=last if messages.filter(position__gt=last).exists() else None,
    )


def _shown(messages: list[Message]) -> list[ShownMessage]:
    left = MAX_FORMATTED
    shown = []
    for message in messages:
        text = "\n\n".join(storage.texts_of(message.content, message.content_parts))
        formatted = markdown.render(text) if len(text) <= left else None
        left -= len(text) if formatted is not None else 0
        shown.append(ShownMessage(message, text, formatted, _extras(message)))
    return shown


def _extras(message: Message) -> list[tuple[str, str]]:
    return [
        (name.replace("_", " "), indented_json(value))
        for name in _EXTRAS
        if (value := getattr(message, name))
    ]


def _tool_names(calls: Any) -> list[str]:
    """Return the names in a list of tool calls, whichever provider's form they have."""
    names = []
    for call in calls if isinstance(calls, list) else []:
        call = call if isinstance(call, dict) else {}
        function = call.get("function")
        name = (function if isinstance(function, dict) else call).get("name")
        names.append(name if isinstance(name, str) else "a tool")
    return names


def _first_text(metadata: dict[str, Any], *names: str) -> str:
    return next((metadata[name] for name in names if isinstance(metadata.get(name), str)), "")
