"""Unsigned receipts in both forms, as callers send them.

Source: docs/http-contract/receipts.md, section "Receipt routes".
"""

from typing import Annotated, Any

from django.utils.functional import cached_property
from pydantic import AfterValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from core.errors import InvalidInput
from core.json_writer import plain
from core.parsing import validate
from core.schemas import Count, Schema, Text, Text255, member_error
from receipts.amounts import Amount, StatedAmount, TimeText
from registry_proxy.tokens import Tokens
from usage.report_schemas import UsageReport
from usage.reports.flat_members import CLASS_OF
from usage.reports.reading import WITHOUT_COUNTS
from usage.reports.reported_usage import Usage

# Paths beside `/receipts/{id}`.
_RESERVED = {
    "generate",
    "issue",
    "preview",
    "public-key.pem",
    "public-keys.json",
    "uncertified",
    "verify",
}


def _can_be_read(id: str) -> str:
    if id in _RESERVED or id.endswith(("/", "/logs")):
        raise PydanticCustomError("reserved", "This is part of a path and cannot be an id")
    return id


ReceiptId = Annotated[Text255, AfterValidator(_can_be_read)]


class ExtensibleSchema(Schema):
    """Keeps members that are not declared: they are signed like the others."""

    model_config = ConfigDict(extra="allow")


class FlatDraft(Schema):
    """An unsigned receipt in the flat form. Its costs are not cross-checked."""

    receipt_id: ReceiptId | None = Field(None, description="Default: `rcpt_` and 16 hex digits.")
    timestamp: TimeText | None = Field(None, description="Default: now.")
    alias: Text255
    profile: Text255 | None = Field(None, description="Default: `default`.")
    lock_digest: Text255 | None = None
    provider: Text255
    model: Text255
    prompt_tokens: Count
    completion_tokens: Count
    total_tokens: Count
    input_cost: Amount
    output_cost: Amount
    total_cost: Amount


class DraftTokens(ExtensibleSchema):
    input: Count = Field(description="All prompt tokens, cached ones included.")
    output: Count = Field(description="All completion tokens.")
    cached_input: Count | None = None

    @model_validator(mode="after")
    def _cached_input_is_part_of_input(self):
        if (self.cached_input or 0) > self.input:
            raise member_error(
                "less_than_equal",
                "Input should be less than or equal to input",
                "cached_input",
                input=self.cached_input,
                le=self.input,
            )
        return self

    def reported(self) -> dict[str, int]:
        """Return the counts by the names that they have in a log's report."""
        classes = {
            f"{name}_tokens": count
            for name, count in (self.model_extra or {}).items()
            if f"{name}_tokens" in CLASS_OF and type(count) is int
        }
        return {
            "input_tokens": self.input,
            "output_tokens": self.output,
            "cached_input_tokens": self.cached_input or 0,
            **classes,
        }


class DraftCost(ExtensibleSchema):
    amount: StatedAmount | None = Field(
        None, description="US dollars, a number or decimal text. Default: by the registry's prices."
    )
    calculation: Text | None = Field(None, description="Default: terms, prices and registry.")

    @property
    def is_complete(self) -> bool:
        return self.amount is not None and self.calculation is not None


# Members of a report that become `tokens` of the nested form, and are not signed besides.
_COUNTS = ("input_tokens", "output_tokens", *CLASS_OF)
_PLACEMENT = ("input_includes_cache", "output_includes_thinking")
# Those that say besides what the call used, and are signed as they are.
_TERMS = ("units", "modifiers", "service_tier", "usage_status")


class NestedDraft(ExtensibleSchema):
    """An unsigned receipt in the nested form. Further members are signed unchanged."""

    id: ReceiptId | None = Field(None, description="Default: `rcpt_` and 16 hex digits.")
    timestamp: TimeText | None = Field(None, description="Default: now.")
    provider: Text255 | None = None
    model: Text255
    alias: Text255 | None = Field(None, description="Default: `default`.")
    profile: Text255 | None = Field(None, description="Default: `default`.")
    lock_digest: Text255 | None = None
    tokens: DraftTokens | None = Field(
        None, description="Or state the usage as in a log, with `usage` for example."
    )
    cost: DraftCost | None = None

    @property
    def stated_cost(self) -> DraftCost:
        """The cost as the caller states it, or a provider's usage object does."""
        cost = self.cost or DraftCost()
        if cost.amount is None and self.used.cost is not None:
            return DraftCost(amount=plain(self.used.cost), calculation=cost.calculation)
        return cost

    @property
    def _states_no_counts(self) -> bool:
        # Not looked up: the member may be anything, a list for example.
        return (self.model_extra or {}).get("usage_status") in [*WITHOUT_COUNTS]

    @cached_property
    def used(self) -> Usage:
        """What the call used, in disjoint token classes, read like the report of a log."""
        members = self.model_extra or {}
        names = {"provider": (self.provider or "")[:50], "model": self.model}
        terms = {name: members.get(name) for name in _TERMS}
        try:
            report = validate(UsageReport, names | self._reported(members) | terms, loc=())
        except InvalidInput as error:
            first = error.issues[0]
            raise member_error(
                first["type"], first["msg"], *self._place(first["loc"]), input=first["input"]
            ) from None
        return report.stated_usage

    def _reported(self, members: dict[str, Any]) -> dict[str, Any]:
        """Return the members of a log's report that state the usage."""
        reported = {name: members[name] for name in (*_COUNTS, *_PLACEMENT) if name in members}
        cost = {"cost": self.cost and self.cost.amount}
        if self.tokens is not None:
            reported = self.tokens.reported()
        elif members.get("usage") is not None:
            reported["usage"] = members["usage"]
        elif reported or self._states_no_counts:
            reported |= cost | {"metadata": members.get("metadata") or {}}
        else:
            raise member_error("missing", "Field required", "tokens", input=None)
        # Where nothing was billed, or nothing is known, an amount is refused like the counts.
        return reported | cost if self._states_no_counts else reported

    def _place(self, loc: list) -> list:
        """Return the place in the draft of a member of the report."""
        if self.tokens is not None and loc and str(loc[0]).endswith("_tokens"):
            return ["tokens", loc[0].removesuffix("_tokens")]
        return loc

    @model_validator(mode="before")
    @classmethod
    def _wrap_bare_cost(cls, value: Any) -> Any:
        if isinstance(value, dict) and not isinstance(value.get("cost"), dict | None):
            return {**value, "cost": {"amount": value["cost"]}}
        return value

    @model_validator(mode="after")
    def _read_usage(self):
        is_complete = self.tokens is not None and self.cost is not None and self.cost.is_complete
        # Otherwise nothing is left to price, nor a status that the numbers may contradict.
        if not is_complete or "usage_status" in (self.model_extra or {}):
            _ = self.used
        return self

    def signed_members(self) -> dict[str, Any]:
        """Return the members to sign as they were sent, with `tokens` made from a report."""
        members = self.model_dump(exclude_unset=True, exclude={"signature"})
        if self.tokens is not None:
            cached = self.tokens.cached_input or 0
            return members | {"tokens": {**members["tokens"], "cached_input": cached}}
        members = {name: value for name, value in members.items() if name not in _NOT_SIGNED}
        return members | {"tokens": _nested_tokens(self.used.tokens or Tokens())}


_NOT_SIGNED = frozenset((*_COUNTS, *_PLACEMENT))


def _nested_tokens(tokens: Tokens) -> dict[str, int]:
    classes = {
        name: count
        for name, count in tokens.by_class().items()
        if count and name not in ("input", "output", "cache_read")
    }
    totals = {"input": tokens.prompt, "output": tokens.completion}
    return {**totals, "cached_input": tokens.cache_read, **classes}
