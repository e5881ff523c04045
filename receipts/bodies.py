"""Receipts in request bodies: parsed strictly, wrapped in `receipt` or bare."""

from core import media
from core.errors import InvalidInput, issue
from core.serializers import Serializer
from receipts.documents import FLAT, AmbiguousJSON, form_of, parse
from receipts.serializers import SignedFlat, SignedNested

_RECEIPT_MEMBERS = {"id", "receipt_id", "model", "alias", "timestamp"}


class ReceiptParser(media.JSONParser):
    """JSON without duplicate members and without numbers that lose digits."""

    def loads(self, body: bytes) -> object:
        super().loads(body)  # reports the position of malformed JSON
        try:
            return parse(body)
        except AmbiguousJSON as error:
            entry = issue("json_invalid", ["body"], str(error), {}, error=str(error))
            raise InvalidInput([entry]) from None


def receipt_in(body: object, *, required: bool = False) -> tuple[dict, list]:
    """Return the receipt of a body and its place there.

    With `required`, an empty object lacks `receipt`. Raises InvalidInput.
    """
    if not isinstance(body, dict):
        message = "Input should be a valid dictionary or object"
        raise InvalidInput([issue("model_attributes_type", ["body"], message, body)])
    if body.keys() & _RECEIPT_MEMBERS or "receipt" not in body:
        if required and not body:
            raise InvalidInput([issue("missing", ["body", "receipt"], "Field required", body)])
        return body, ["body"]
    receipt, place = body["receipt"], ["body", "receipt"]
    if not isinstance(receipt, dict):
        message = "Input should be a valid dictionary"
        raise InvalidInput([issue("dict_type", place, message, receipt)])
    return receipt, place


def checked(serializer: type[Serializer], document: dict, place: list) -> dict:
    """Return the validated members of the document. Raises InvalidInput, naming their places."""
    bound = serializer(data=document)
    try:
        bound.is_valid(raise_exception=True)
    except InvalidInput as error:
        raise InvalidInput(
            [{**entry, "loc": [*place, *entry["loc"][1:]]} for entry in error.issues]
        ) from None
    return dict(bound.validated_data)


def checked_signed(document: dict, place: list) -> dict:
    """Return the members of a signed receipt by which it is stored. Raises InvalidInput."""
    return checked(SignedFlat if form_of(document) == FLAT else SignedNested, document, place)
