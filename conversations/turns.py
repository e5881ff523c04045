"""Comparison of messages, stored or sent."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from conversations import fingerprints
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
    """A message, stored or sent, with the properties by which it is recognized."""

    row: Row
    hashes: frozenset[str]
    tool_calls: list | None
    tool_results: list | None
    extra: dict[str, Any]
    thoughts: dict | None
    children: list["Turn"] = field(default_factory=list)

    @classmethod
    def of(cls, row: Row) -> "Turn":
        extra = row.get("extra") or {}
        return cls(
            row,
            frozenset(_content_hashes(row)),
            fingerprints.digests(fingerprints.plain_calls(row.get("tool_calls") or []) or None),
            fingerprints.digests(row.get("tool_results") or None),
            {
                name: fingerprints.digest_of_member(fingerprints.plain_numbers(value))
                for name, value in extra.items()
                if value not in (None, [], "")
            },
            _digest_of_thoughts(row.get("content_parts")),
        )

    @property
    def is_instruction(self) -> bool:
        return self.row["role"] in _INSTRUCTIONS

    def stored_keys(self) -> Iterator[tuple]:
        """Yield the keys of this stored message, the most specific first. Equal ones share one."""
        if self.row.get("message_id") is not None:
            yield ("message_id", self.row["message_id"])
        for content in self._contents():
            yield self.row["role"], content
            if self.row.get("tool_call_id") is not None:
                yield self.row["role"], content, self.row["tool_call_id"]

    def sent_keys(self) -> Iterator[tuple]:
        """Yield the keys by which this sent message is looked up, the most specific first."""
        if self.row.get("message_id") is not None:
            yield ("message_id", self.row["message_id"])
        for content in self._contents():
            # Of many results of tools that are alike, at most one has the id.
            id = self.row.get("tool_call_id")
            yield (self.row["role"], content) if id is None else (self.row["role"], content, id)

    def _contents(self) -> Iterable[str | tuple[str, ...]]:
        """Return the hashes of the content; without any, the digests of the tool calls."""
        return self.hashes or [tuple(call["sha256"] for call in self.tool_calls or ())]

    def child_sent_as(self, sent: "Turn") -> "Turn | None":
        """Return the newest child that is the same message as the sent one."""
        matching = (child for child in reversed(self.children) if child.is_sent_as(sent))
        return next(matching, None)

    def is_sent_as(self, sent: "Turn") -> bool:
        """Return whether this stored message is the same as the sent one."""
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
        if self.thoughts and sent.thoughts and self.thoughts != sent.thoughts:
            return False
        shared = self.extra.keys() & sent.extra.keys()
        return (
            sent.tool_calls in (None, self.tool_calls)
            and sent.tool_results in (None, self.tool_results)
            and all(self.extra[name] == sent.extra[name] for name in shared)
        )


def _digest_of_thoughts(parts: object) -> dict | None:
    listed = parts if isinstance(parts, list) else []
    thoughts = [part for part in listed if fingerprints.is_thought(part)]
    return fingerprints.digest(fingerprints.plain_numbers(thoughts)) if thoughts else None


def _content_hashes(row: Row) -> Iterator[str]:
    """Yield the hashes under which a content may be known."""
    for name in ("content_hash", "plain_hash"):
        if row.get(name):
            yield row[name]
    # Of a message that was stored before there were plain hashes.
    if hash := fingerprints.content_hash(fingerprints.plain_content(row.get("content_parts"))):
        yield hash
