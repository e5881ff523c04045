"""Which requests are small enough for the event loop."""

from collections.abc import Sequence

from core.chat_messages import ChatMessage

MAX_BODY_ON_LOOP = 16 * 1024  # bytes
MAX_TEXT_ON_LOOP = 2_000  # characters of one message
# Of all together: one character may stand for eighteen, and each takes a microsecond or more.
_MAX_NON_ASCII_ON_LOOP = 4_000


def has_short_texts(messages: Sequence[ChatMessage]) -> bool:
    """Return whether splitting the messages into words takes negligible time on the event loop."""
    texts = [message.content or "" for message in messages]
    return (
        len(texts) <= 50
        and all(isinstance(text, str) and len(text) <= MAX_TEXT_ON_LOOP for text in texts)
        and sum(len(text) for text in texts if not text.isascii()) <= _MAX_NON_ASCII_ON_LOOP
    )
