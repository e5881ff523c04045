"""The replies of the receipt routes, for the OpenAPI document."""

from typing import Literal
from uuid import UUID

from pydantic import ConfigDict, RootModel

from core.schemas import Number, Schema, example
from receipts import sample_receipts as samples
from receipts.schemas import FlatReceipt, NestedReceipt


class Receipt(RootModel[NestedReceipt | FlatReceipt]):
    """A stored receipt, byte for byte as it was signed."""

    model_config = example(samples.NESTED)


class StoredReceipt(Schema):
    receipt_id: str
    status: Literal["verified", "issued"]
    signature: str


class ReceiptPage(Schema):
    receipts: list[Receipt]
    total: int
    limit: int
    offset: int


class Verdict(Schema):
    """`key_id` names the key that signed; `reason` explains why a receipt is not valid."""

    receipt_id: str | None
    valid: bool
    algorithm: Literal["Ed25519"]
    key_id: str = ""
    reason: str = ""


class GeneratedReceipt(Schema):
    receipt: FlatReceipt
    certified_count: int


class GroupSums(Schema):
    calls: int
    cost: Number
    tokens: int


class ReceiptPreview(Schema):
    """Only the first members when there are no such logs."""

    total_logs: int
    total_cost: Number
    total_tokens: int
    message: str = ""
    receipt_type: Literal["single", "batch"] = "single"
    total_conversations: int = 0
    total_cost_exact: str = "0"
    unpriced_calls: int = 0
    unknown_calls: int = 0
    start_date: str = ""
    end_date: str = ""
    by_model: dict[str, GroupSums] = {}
    by_alias: dict[str, GroupSums] = {}


class UncertifiedLog(Schema):
    id: UUID
    type: Literal["usage", "conversation"]
    provider: str
    model: str
    alias: str
    input_tokens: int | None
    output_tokens: int | None
    cached_input_tokens: int
    cost: Number
    timestamp: str


class UncertifiedLogPage(Schema):
    logs: list[UncertifiedLog]
    total: int
    limit: int
    offset: int


class CertifiedLog(Schema):
    """A log as in the export; only `id` and `type` if it was deleted since."""

    model_config = ConfigDict(extra="allow")

    id: UUID
    type: Literal["usage", "conversation"]


class CertifiedLogPage(Schema):
    receipt_id: str
    logs: list[CertifiedLog]
    total: int
    limit: int
    offset: int


class JsonWebKey(Schema):
    """A public key (RFC 8037)."""

    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    x: str
    kid: str
    use: Literal["sig"]
    alg: Literal["EdDSA"]


class ListedKey(JsonWebKey):
    key_id: str
    public_key: str
    public_key_pem: str


class PublicKeyEntry(Schema):
    key_id: str
    public_key: str
    algorithm: Literal["Ed25519"]
    format: Literal["base64url"]


class KeyDocument(Schema):
    keys: list[PublicKeyEntry]
    current_key_id: str | None
