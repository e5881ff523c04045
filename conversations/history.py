"""Which messages of a logged call its conversation already holds.

Chat clients send the whole history with each call, or its last turns, or only what is
new; turns are retried and regenerated, and system prompts change. What is known is not
stored again. What is new follows the message that it was sent after: where another
message follows that one already, it begins a branch.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any
from uuid import UUID

from django.db.models import Case, F, Func, IntegerField, Value, When

from conversations import fingerprints
from conversations.models import Conversation, Message
from conversations.storage import Row
from conversations.turns import MessageIdReused, Turn

MAX_CANDIDATES = 50  # of equal stored messages, the newest ones
MAX_COMPARED_PARTS = 65_536  # bytes; of larger parts, as images, only the hash is compared


class History:
    """The stored messages of a conversation, as the tree of their branches."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.by_message_id: dict[str, Turn] = {}
        self._roots: list[Turn] = []
        self._index: dict[tuple, list[Turn]] = defaultdict(list)
        self._instructions: dict[tuple, list[Turn]] = defaultdict(list)
        # Instructions are taken out of the tree: a changed prompt does not change the history.
        nearest: dict[UUID, Turn | None] = {}
        for row in stored_rows(conversation):
            turn = Turn.of(row)
            if row["message_id"] is not None:
                self.by_message_id[row["message_id"]] = turn
            parent = nearest.get(row["parent_id"])
            index = self._instructions if turn.is_instruction else self._index
            for key in turn.stored_keys():
                index[key].append(turn)
            if turn.is_instruction:
                nearest[row["id"]] = parent
                continue
            nearest[row["id"]] = turn
            (parent.children if parent else self._roots).append(turn)

    def knows_instruction(self, sent: Turn) -> bool:
        """Return whether a system message is stored, or is the conversation's own prompt."""
        prompt = self.conversation.system_prompt
        if prompt and fingerprints.content_hash(prompt) in sent.hashes:
            return True
        if sent.row.get("message_id") in self.by_message_id:
            return True
        stored = (turn for key in sent.sent_keys() for turn in self._instructions.get(key, ()))
        return any(turn.is_sent_as(sent) for turn in stored)

    def align(self, sent: Sequence[Turn]) -> list[Turn | None]:
        """Return, for each sent message, the stored one that it repeats, if any."""
        known: list[Turn | None] = [None] * len(sent)
        start, run = self._best_run(sent)
        while run:
            known[start : start + len(run)] = run
            # One message may have been changed in the middle, and what follows it not.
            changed = start + len(run)
            start, run = self._run_to_the_end(sent, changed + 1, below=run[-1])
        return known

    def find(self, sent: Sequence[Turn]) -> dict[int, Turn | None]:
        """Return the stored message of each sent one that is not new, by the latter's identity.

        None stands for a message that retention has deleted.
        """
        aligned = self.align(sent)
        known: dict[int, Turn | None] = {
            id(turn): stored or self.by_message_id.get(turn.row.get("message_id"))
            for turn, stored in zip(sent, aligned, strict=True)
        }
        known = {turn: stored for turn, stored in known.items() if stored}
        known |= dict.fromkeys(map(id, sent[: self._expired_length(sent, aligned)]))
        return known

    def _expired_length(self, sent: Sequence[Turn], aligned: Sequence[Turn | None]) -> int:
        """Return how many of the first sent messages were stored here and deleted by retention."""
        if self.conversation.last_position <= self.conversation.message_count:
            return 0
        if not self._roots:
            # Nothing is left to compare with: what leads to an answer was sent before. The last
            # message is new, also where it is the beginning of the answer to come.
            answers = (n for n, turn in enumerate(sent[:-1], 1) if turn.row["role"] == "assistant")
            return max(answers, default=0)
        first = next(filter(None, aligned), None)
        return aligned.index(first) if first in self._roots else 0

    def _best_run(self, sent: Sequence[Turn]) -> tuple[int, list[Turn]]:
        """Return where in `sent` the history begins, and the stored messages it repeats.

        When the first message is not known, it was changed, or deleted here, or all is
        new: then the run must lead to a newest message.
        """
        roots = [turn for turn in self._roots if sent and turn.is_sent_as(sent[0])]
        runs = [self._run(turn, sent, 0) for turn in (*self._candidates(sent, 0), *roots)]
        if runs:
            return 0, max(runs, key=len)  # of equal ones the newest
        return self._run_to_the_end(sent, 1)

    def _run_to_the_end(
        self, sent: Sequence[Turn], start: int, *, below: Turn | None = None
    ) -> tuple[int, list[Turn]]:
        """Return the first run, from `start` on, that ends at or just before a newest message."""
        within = None if below is None else {id(turn) for turn in _descendants(below)}
        # On runs that end elsewhere: so does every other run through one of them.
        seen: set[tuple[int, int]] = set()
        for position in range(start, len(sent) if within != set() else start):
            for turn in self._candidates(sent, position):
                if (id(turn), position) in seen or within is not None and id(turn) not in within:
                    continue
                run = self._run(turn, sent, position)
                if not any(child.children for child in run[-1].children):
                    return position, run
                seen.update((id(one), place) for place, one in enumerate(run, position))
        return start, []

    def _candidates(self, sent: Sequence[Turn], position: int) -> list[Turn]:
        """Return the stored messages that a sent one may repeat, the newest first."""
        if position >= len(sent):
            return []
        turn = sent[position]
        stored = (one for key in turn.sent_keys() for one in reversed(self._index.get(key, ())))
        return [*islice((one for one in stored if one.is_sent_as(turn)), MAX_CANDIDATES)]

    @staticmethod
    def _run(turn: Turn, sent: Sequence[Turn], position: int) -> list[Turn]:
        """Return the stored messages that repeat the sent ones, from `turn` on."""
        run = [turn]
        for following in sent[position + 1 :]:
            child = run[-1].child_sent_as(following)
            if child is None:
                break
            run.append(child)
        return run


def _descendants(turn: Turn) -> Iterator[Turn]:
    pending = [*turn.children]
    while pending:
        child = pending.pop()
        yield child
        pending += child.children


def stored_rows(conversation: Conversation, **conditions: Any) -> Iterator[Row]:
    """Yield the columns of stored messages that tell them apart, in their order."""
    own = Message.objects.filter(
        project_id=conversation.project_id, conversation=conversation, **conditions
    )
    size = Func(F("content_parts"), function="pg_column_size", output_field=IntegerField())
    parts = Case(
        When(parts_size__lt=MAX_COMPARED_PARTS, then=F("content_parts")), default=Value(None)
    )
    rows = own.annotate(parts_size=size, compared_parts=parts).order_by("position")
    names = (
        "id",
        "parent_id",
        "message_id",
        "role",
        "name",
        "content_hash",
        "plain_hash",
        "tool_calls",
        "tool_call_id",
        "tool_results",
        "extra",
    )
    for *values, parts in rows.values_list(*names, "compared_parts").iterator():
        yield {**dict(zip(names, values, strict=True)), "content_parts": parts}


def new_rows(
    conversation: Conversation, sent: Sequence[Row], answer: Row
) -> tuple[list[Row], UUID]:
    """Return what a call adds to its conversation, and the id of its answer.

    The rows get their parents. There are none when the whole call is stored already.
    Raises MessageIdReused for an answer with the id of another message.
    """
    history = History(conversation)
    turns = [Turn.of(row) for row in sent]
    known = history.find([turn for turn in turns if not turn.is_instruction])
    additions = _Additions(None if known else conversation.last_message_id)
    for turn in turns:
        if turn.is_instruction:
            if not history.knows_instruction(turn):
                additions.instructions.append(turn.row)
        elif id(turn) in known:
            additions.skip(known[id(turn)])
        else:
            additions.add(turn.row)
    stored = additions.last_known and additions.last_known.child_sent_as(Turn.of(answer))
    if stored and not additions.rows and not additions.instructions:
        return [], stored.row["id"]
    if answer.get("message_id") in history.by_message_id:
        raise MessageIdReused(answer["message_id"])
    additions.add(answer)
    return additions.rows, answer["id"]


class _Additions:
    """The rows that a call adds, each after the message that it was sent after."""

    def __init__(self, parent_id: UUID | None) -> None:
        # Without anything known, only what is new was sent: it follows the newest message.
        self._parent_id = parent_id
        self.rows: list[Row] = []
        self.instructions: list[Row] = []  # stored before the next new message
        self.last_known: Turn | None = None

    def skip(self, stored: Turn | None) -> None:
        """Go on after a stored message; None for one that expired."""
        if stored:
            self.last_known, self._parent_id = stored, stored.row["id"]

    def add(self, row: Row) -> None:
        for new in (*self.instructions, row):
            new["parent_id"] = self._parent_id
            self._parent_id = new["id"]
            self.rows.append(new)
        self.instructions.clear()
