"""What distinguishes one message from another, stored or sent."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from conversations import privacy
from conversations.storage import Row
from core.errors import DomainError

_INSTRUCTIONS = ("system", "developer")


class MessageIdReused(DomainError):
    """A message of this `message_id` is stored already, with other content."""

    status_code = 409
    code = "message_id_reused"

    def __init__(self, message_id: str) -> None:
        super().__init__(f'Another message has the message_id "{message_id}"')


@dataclass(slots=True, eq=False)
class Turn:
    """A message, stored or sent, with what distinguishes it from others."""

    row: Row
    hashes: frozenset[str]
    tool_calls: list | None
    tool_results: list | None
    extra: dict[str, Any]
    children: list["Turn"] = field(default_factory=list)

    @classmethod
    def of(cls, row: Row) -> "Turn":
        extra = row.get("extra") or {}
        return cls(
            row,
            frozenset(_content_hashes(row)),
            privacy.digests(_without_places(row.get("tool_calls")) or None),
            privacy.digests(row.get("tool_results") or None),
            {
                name: privacy.digest_of_member(value)
                for name, value in extra.items()
                if value not in (None, [], "")
            },
        )

    @property
    def is_instruction(self) -> bool:
        return self.row["role"] in _INSTRUCTIONS

    def index_keys(self) -> Iterator[tuple]:
        """Yield keys of which equal messages share at least one."""
        for hash in self.hashes or (None,):
            yield self.row["role"], hash
        if self.row.get("message_id") is not None:
            yield ("message_id", self.row["message_id"])

    def child_sent_as(self, sent: "Turn") -> "Turn | None":
        """Return the newest message after this one that is the sent one."""
        matching = (child for child in reversed(self.children) if child.is_sent_as(sent))
        return next(matching, None)

    def is_sent_as(self, sent: "Turn") -> bool:
        """Return whether this stored message is the sent one."""
        own_id, sent_id = self.row.get("message_id"), sent.row.get("message_id")
        if own_id is not None and sent_id is not None:
            return own_id == sent_id
        return self.has_content_of(sent)

    def has_content_of(self, sent: "Turn") -> bool:
        """Return whether the sent message equals this stored one.

        Clients leave out what their own library does not know: beside the same text, a
        member that was not sent does not make another message.
        """
        if self.row["role"] != sent.row["role"]:
            return False
        if not (self.hashes & sent.hashes or self.hashes == sent.hashes):
            return False
        if any(
            self.row.get(name) != sent.row[name]
            for name in ("name", "tool_call_id")
            if sent.row.get(name) is not None
        ):
            return False
        if not sent.hashes:
            return (self.tool_calls, self.tool_results, self.extra) == (
                sent.tool_calls,
                sent.tool_results,
                sent.extra,
            )
        shared = self.extra.keys() & sent.extra.keys()
        return (
            sent.tool_calls in (None, self.tool_calls)
            and sent.tool_results in (None, self.tool_results)
            and all(self.extra[name] == sent.extra[name] for name in shared)
        )


def _without_places(tool_calls: list[dict] | None) -> list[dict]:
    """Return tool calls without the places that they had in a stream."""
    return [
        {name: value for name, value in call.items() if name != "index"}
        for call in tool_calls or ()
    ]


def _content_hashes(row: Row) -> Iterator[str]:
    """Yield the hashes under which a content may be known.

    Clients send a text as a part, and move the marks of a provider's cache.
    """
    if row.get("content_hash"):
        yield row["content_hash"]
    parts = row.get("content_parts")
    if isinstance(parts, list) and all(isinstance(part, dict) for part in parts):
        plain = [
            {name: value for name, value in part.items() if name != "cache_control"}
            for part in parts
        ]
        texts = [part.get("text") for part in plain if part.keys() == {"type", "text"}]
        is_one_text = len(plain) == len(texts) == 1 and isinstance(texts[0], str)
        if hash := privacy.content_hash(texts[0] if is_one_text else plain):
            yield hash
