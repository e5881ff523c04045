"""What a client says of a call in headers, `X-LLMRing-Alias` and three more."""

from typing import Any

from core import exact_json, parsing, schemas
from core.edge_request import Request
from core.errors import InvalidInput
from gateway import errors, tokens
from usage.report_schemas import Metadata

_NO_LABELS = {"alias": None, "profile": None, "origin": None, "metadata": {}}


class Labels(schemas.Schema):
    """Of the lengths that the ledger's columns have."""

    alias: schemas.text(128) | None = None
    profile: schemas.text(64) | None = None
    origin: schemas.text(255) | None = None
    metadata: Metadata = {}


def read(request: Request) -> dict[str, Any]:
    """Return the labels by name, without tokens, which the ledger does not store.

    Raises GatewayError for those that it would refuse.
    """
    sent = {name: request.headers.get(f"X-LLMRing-{name}") for name in Labels.model_fields}
    values: dict[str, Any] = {
        name: tokens.hidden(_text(value)) for name, value in sent.items() if value
    }
    if not values:
        return dict(_NO_LABELS)
    try:
        if "metadata" in values:
            values["metadata"] = exact_json.loads(values["metadata"].encode())
        return dict(parsing.validate(Labels, values))
    except InvalidInput as error:
        raise errors.GatewayError(f"X-LLMRing headers: {error}") from error


def _text(value: str) -> str:
    """Return the text of a header: UTF-8 where it is that, as most clients write it."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeDecodeError:
        return value
