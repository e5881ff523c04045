"""The bodies and queries of the receipt routes.

A receipt in a body stands there bare or as the member `receipt`, and is read by
the schema of its form. Source: docs/http-contract/receipts.md.
"""

from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar
from uuid import UUID

from django.utils.functional import cached_property
from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    RootModel,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError, PydanticKnownError

from core.errors import InvalidInput
from core.media import plain
from core.parsing import validate
from core.schemas import (
    Count,
    Name255,
    Schema,
    Text,
    Text255,
    Timestamp,
    example,
    member_error,
    text,
)
from core.viewsets import page_query
from receipts import sample_receipts as samples
from receipts.amounts import Amount, SignedAmount, SignedCount, StatedAmount, TimeText
from receipts.documents import FLAT, AmbiguousJSON, exact, form_of
from registry_proxy.tokens import Tokens
from usage.reports.flat_members import CLASS_OF
from usage.reports.reading import WITHOUT_COUNTS
from usage.reports.reported_usage import Usage
from usage.schemas import UsageReport


class _Extensible(Schema):
    """Keeps members that are not declared: they are signed like the others."""

    model_config = ConfigDict(extra="allow")


class FlatDraft(Schema):
    """An unsigned receipt in the flat form. Its costs are not cross-checked."""

    receipt_id: Text255 | None = Field(None, description="Default: `rcpt_` and 16 hex digits.")
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


class DraftTokens(_Extensible):
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


class DraftCost(_Extensible):
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


class NestedDraft(_Extensible):
    """An unsigned receipt in the nested form. Further members are signed unchanged."""

    id: Text255 | None = Field(None, description="Default: `rcpt_` and 16 hex digits.")
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


class FlatReceipt(_Extensible):
    """A signed receipt in the flat form: the members by which it is stored."""

    receipt_id: Name255
    timestamp: TimeText
    alias: Text255
    profile: Text255 = ""
    lock_digest: Text255 = ""
    provider: Text255
    model: Text255
    prompt_tokens: SignedCount
    completion_tokens: SignedCount
    total_tokens: SignedCount
    input_cost: SignedAmount
    output_cost: SignedAmount
    total_cost: SignedAmount
    receipt_type: Literal["single", "batch"] | None = None
    signature: Any = None


class ReceiptTokens(_Extensible):
    input: SignedCount
    output: SignedCount


class ReceiptCost(_Extensible):
    amount: SignedAmount


class NestedReceipt(_Extensible):
    """A signed receipt in the nested form: the members by which it is stored."""

    id: Name255
    timestamp: TimeText
    provider: Text255 | None = None
    model: Text255
    alias: Text255 | None = None
    profile: Text255 | None = None
    key_id: Text255 | None = None
    tokens: ReceiptTokens
    cost: ReceiptCost
    signature: Any = None


# Far above the largest receipt of this server: a batch with two maps of a thousand names.
MAX_BYTES = 4 * 1024 * 1024
_Form = TypeVar("_Form", bound=Schema)
# A body with one of these is a receipt itself, whatever its member `receipt` is.
_RECEIPT_MEMBERS = {"id", "receipt_id", "model", "alias", "timestamp"}


class _Wrapped(Schema, Generic[_Form]):
    receipt: _Form


def _exact_object(value: Any) -> dict:
    if not isinstance(value, dict):
        raise PydanticKnownError("model_attributes_type")
    try:
        return exact(value)
    except AmbiguousJSON as error:
        raise PydanticCustomError(
            "json_invalid", "JSON decode error", {"error": str(error)}
        ) from None


def _unwrap(body: dict) -> tuple[Any, bool]:
    """Return the receipt in a body, and whether the body wraps it."""
    if body.keys() & _RECEIPT_MEMBERS or "receipt" not in body:
        return body, False
    return body["receipt"], True


def _validated(body: dict, flat: type[Schema], nested: type[Schema]) -> Schema:
    receipt, is_wrapped = _unwrap(body)
    form = flat if not isinstance(receipt, dict) or form_of(receipt) == FLAT else nested
    if is_wrapped:
        return _Wrapped[form].model_validate(body).receipt
    return form.model_validate(body)


# The form decides by which schema a receipt is read, so that its errors are those of one.
def _draft_form(value: Any, handler: Any) -> NestedDraft | FlatDraft:
    return _validated(_exact_object(value), FlatDraft, NestedDraft)


class _Wrappable:
    """Describes a receipt in the OpenAPI document: bare, or wrapped in `receipt`."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict:
        schema = handler(core_schema)
        described = handler.resolve_ref_schema(schema)
        bare = described["anyOf"]
        wrapped = {"type": "object", "properties": {"receipt": {"anyOf": bare}}}
        described["anyOf"] = [*bare, wrapped | {"required": ["receipt"]}]
        return schema


class ReceiptDraft(
    _Wrappable, RootModel[Annotated[NestedDraft | FlatDraft, WrapValidator(_draft_form)]]
):
    """An unsigned receipt, bare or wrapped in `receipt`."""

    max_body_bytes: ClassVar = MAX_BYTES
    model_config = example(samples.DRAFT, samples.FLAT_DRAFT, samples.USAGE_DRAFT)

    @property
    def is_complete(self) -> bool:
        """Whether amount and calculation are stated, so that no price is needed."""
        return isinstance(self.root, FlatDraft) or self.root.stated_cost.is_complete

    def stated_members(self) -> dict[str, Any]:
        """Return the members that the receipt takes over, in the places that they have there."""
        if isinstance(self.root, FlatDraft):
            return self.root.model_dump(exclude_unset=True)
        members = self.root.signed_members()
        members.pop("key_id", None)
        return members


def _signed_form(body: dict, handler: Any) -> NestedReceipt | FlatReceipt:
    return _validated(body, FlatReceipt, NestedReceipt)


class SignedReceipt(
    _Wrappable, RootModel[Annotated[NestedReceipt | FlatReceipt, WrapValidator(_signed_form)]]
):
    """A signed receipt, bare or wrapped in `receipt`."""

    max_body_bytes: ClassVar = MAX_BYTES
    model_config = example(samples.NESTED)

    @property
    def document(self) -> dict:
        """The receipt as it was sent, which is what the signature covers."""
        return self.__dict__["_document"]

    @model_validator(mode="wrap")
    @classmethod
    def _keep_document(cls, value: Any, handler: Any) -> "SignedReceipt":
        body = _exact_object(value)
        receipt = handler(body)
        # As a private attribute of pydantic's it would take a seventh of reading the body.
        receipt.__dict__["_document"] = _unwrap(body)[0]
        return receipt


class ReceiptToStore(RootModel[SignedReceipt | ReceiptDraft]):
    """A receipt, signed or to be signed, bare or wrapped in `receipt`."""

    max_body_bytes: ClassVar = MAX_BYTES
    model_config = example(samples.DRAFT, {"receipt": samples.NESTED})

    @model_validator(mode="wrap")
    @classmethod
    def _by_signature(cls, value: Any, handler: Any) -> "ReceiptToStore":
        if value == {}:
            raise member_error("missing", "Field required", "receipt", input=value)
        receipt = _unwrap(value)[0] if isinstance(value, dict) else value
        is_signed = isinstance(receipt, dict) and receipt.get("signature") is not None
        schema = SignedReceipt if is_signed else ReceiptDraft
        return cls.model_construct(schema.model_validate(value))


class GenerationRequest(Schema):
    """Which logs a batch receipt certifies, by the first of the four criteria that is sent."""

    model_config = example(samples.GENERATION)
    conversation_id: UUID | None = None
    start_date: Timestamp | None = None
    end_date: Timestamp | None = None
    log_ids: Annotated[list[UUID], Field(max_length=10_000)] | None = None
    since_last_receipt: bool | None = Field(
        None, description="All logs that no receipt has certified yet."
    )
    description: text(10_000) | None = None
    tags: Annotated[list[Text255], Field(max_length=100)] | None = None


class ReceiptPageQuery(page_query(default=100, maximum=10**9)):
    """Pages of receipts or their logs."""

    limit: Annotated[int, Field(ge=1), AfterValidator(lambda limit: min(limit, 1000))] = Field(
        100, description="Higher limits are read as 1,000."
    )
