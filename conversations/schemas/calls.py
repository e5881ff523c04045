"""Logged calls: the messages sent to a model, its answer, and what the call took."""

from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from conversations import privacy
from conversations.schemas.examples import ID, MESSAGE_ID
from conversations.schemas.messages import MAX_MESSAGES, Level
from core.chat_messages import ChatMessage, Role, unique_message_ids
from core.schemas import (
    Amount,
    Count,
    FreeObject,
    Schema,
    Text,
    Text64,
    Text255,
    example,
    member_error,
)
from usage.report_schemas import UsageReport
from usage.reports.flat_members import CLASS_OF, DECORATOR_MEMBER
from usage.reports.members import ReportError
from usage.reports.reading import WITHOUT_COUNTS

# Of calls that the released client's decorator logs; logs of usage have DECORATOR_MEMBER besides.
DECORATOR_ORIGIN = "llmring-decorator"


def _text_or_none(value: Any) -> str | None:
    """Return a text, None for anything else: a client may number its own conversations."""
    return value if isinstance(value, str) else None


class LoggedMessage(ChatMessage):
    """A message that a logged call sent to its model."""

    role: Role = "user"


class LoggedResponse(ChatMessage):
    """The message that a model answered."""

    role: Role = "assistant"
    model: Text255 | None = None
    finish_reason: Text | None = None
    usage: FreeObject | None = None


class CallNumbers(UsageReport):
    """Metadata of a call. Its usage is stated as in a log; counts are optional."""

    provider: Text255
    model: Text255
    alias: Text255 | None = None
    profile: Text64 | None = None
    origin: Text255 | None = Field(None, description="`llmring` when absent.")
    cost: Amount | None = Field(
        None,
        description="US dollars; default: the sum of its parts, else by the registry's prices.",
    )
    input_cost: Amount | None = None
    output_cost: Amount | None = None
    cached_tokens: Count | None = Field(None, description="Another name of `cached_input_tokens`.")
    conversation_id: Annotated[Text | None, BeforeValidator(_text_or_none)] = Field(
        None,
        description="A conversation of yours to continue; its messages are not stored again. "
        "Any other value is ignored.",
    )
    project_id: Text255 | None = None
    lock_digest: Text255 | None = Field(
        None, description="Digest of the client's lockfile, for the receipt."
    )

    @property
    def states_counts(self) -> bool:
        return self.usage is not None or (self.input_tokens, self.output_tokens) != (None, None)

    def with_usage(self, usage: dict[str, Any]) -> Self:
        """Return the numbers with what a response says of its usage, where they say nothing.

        A response may have any object there: one that cannot be read counts as none.
        """
        parts = (getattr(self, name) for name in ("cached_tokens", "usage_status", *CLASS_OF))
        if self.states_counts or any(part is not None for part in parts):
            return self
        numbers = type(self).model_construct(**{**dict(self), "usage": usage})
        try:
            _ = numbers.stated_usage
        except ReportError:
            return self
        return numbers

    def _report(self) -> Self:
        report = {"cost": self._stated_cost()}
        if self.cached_input_tokens is None:
            report["cached_input_tokens"] = self.cached_tokens
        if self.usage is None and self.usage_status not in WITHOUT_COUNTS:
            report["input_tokens"] = self.input_tokens or 0
            report["output_tokens"] = self.output_tokens or 0
        if self.origin == DECORATOR_ORIGIN:
            report["metadata"] = {DECORATOR_MEMBER: self.alias, **self.metadata}
        return self.model_copy(update=report)

    def _stated_cost(self) -> Decimal | None:
        """Return the cost stated by the caller, in total or in parts."""
        parts = [part for part in (self.input_cost, self.output_cost) if part is not None]
        return sum(parts, Decimal(0)) if parts and not self.cost else self.cost


class LoggedCall(Schema):
    model_config = example(
        {
            "messages": [{"role": "user", "content": "What is a grammar?"}],
            "response": {
                "content": "A set of rules.",
                "model": "gpt-4o-mini",
                "finish_reason": "stop",
            },
            "metadata": {
                "provider": "openai",
                "model": "gpt-4o-mini",
                "alias": "fast",
                "input_tokens": 9,
                "output_tokens": 5,
            },
        }
    )

    messages: Annotated[
        list[LoggedMessage], Field(max_length=MAX_MESSAGES), AfterValidator(unique_message_ids)
    ]
    response: LoggedResponse
    metadata: CallNumbers
    logging_level: Level = privacy.FULL

    @model_validator(mode="after")
    def _takes_the_usage_of_the_response(self) -> "LoggedCall":
        if self.response.usage:
            self.metadata = self.metadata.with_usage(self.response.usage)
        return self

    @model_validator(mode="after")
    def _answer_has_its_own_id(self) -> "LoggedCall":
        id = self.response.message_id
        if id is not None and any(message.message_id == id for message in self.messages):
            raise member_error(
                "repeated_message_id",
                "Another message of the call has this id",
                "response",
                "message_id",
                input=id,
            )
        return self


class LoggedCallReply(Schema):
    model_config = example({"conversation_id": ID, "message_id": MESSAGE_ID, "receipt": None})

    conversation_id: str = Field(description="Empty if nothing was stored.")
    message_id: str = Field(description="Id of the answer's message.")
    receipt: dict[str, Any] | None
