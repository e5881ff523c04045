"""The bodies and queries of the receipt routes.

A receipt in a body stands there bare or as the member `receipt`, and is read by
the schema of its form. Source: docs/http-contract/receipts.md.
"""

from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar
from uuid import UUID

from pydantic import AfterValidator, Field, RootModel, WrapValidator, model_validator
from pydantic_core import PydanticCustomError, PydanticKnownError

from core.schemas import Name255, Schema, Text255, Timestamp, example, member_error, text
from core.viewsets import page_query
from receipts import sample_receipts as samples
from receipts.amounts import SignedAmount, SignedCount, SignedTimeText
from receipts.documents import FLAT, AmbiguousJSON, exact, form_of
from receipts.draft_schemas import ExtensibleSchema, FlatDraft, NestedDraft


class FlatReceipt(ExtensibleSchema):
    """A signed receipt in the flat form: the members by which it is stored."""

    receipt_id: Name255
    timestamp: SignedTimeText
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


class ReceiptTokens(ExtensibleSchema):
    input: SignedCount
    output: SignedCount


class ReceiptCost(ExtensibleSchema):
    amount: SignedAmount


class NestedReceipt(ExtensibleSchema):
    """A signed receipt in the nested form: the members by which it is stored."""

    id: Name255
    timestamp: SignedTimeText
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
