"""Receipts in request bodies: read strictly, wrapped in `receipt` or bare."""

from core import media
from core.errors import InvalidInput, issue
from core.serializers import Serializer
from receipts import reading
from receipts.forms import FLAT, form_of
from receipts.serializers import SignedFlat, SignedNested

_MARKS = {"id", "receipt_id", "model", "alias", "timestamp"}


class ReceiptParser(media.JSONParser):
    """JSON in which no member occurs twice and no number loses digits."""

    def loads(self, body: bytes) -> object:
        super().loads(body)  # says where broken JSON breaks
        try:
            return reading.read(body)
        except reading.Unreadable as error:
            found = issue("json_invalid", ["body"], str(error), {}, error=str(error))
            raise InvalidInput([found]) from None


def receipt_in(body: object, *, required: bool = False) -> tuple[dict, list]:
    """The receipt in a body and its place there.

    With `required`, an empty object misses `receipt`. Raises InvalidInput.
    """
    if not isinstance(body, dict):
        message = "Input should be a valid dictionary or object"
        raise InvalidInput([issue("model_attributes_type", ["body"], message, body)])
    if body.keys() & _MARKS or "receipt" not in body:
        if required and not body:
            raise InvalidInput([issue("missing", ["body", "receipt"], "Field required", body)])
        return body, ["body"]
    receipt, place = body["receipt"], ["body", "receipt"]
    if not isinstance(receipt, dict):
        message = "Input should be a valid dictionary"
        raise InvalidInput([issue("dict_type", place, message, receipt)])
    return receipt, place


def checked(serializer: type[Serializer], document: dict, place: list) -> dict:
    """The document's members as the serializer takes them. Raises InvalidInput, naming places."""
    found = serializer(data=document)
    try:
        found.is_valid(raise_exception=True)
    except InvalidInput as error:
        raise InvalidInput(
            [{**entry, "loc": [*place, *entry["loc"][1:]]} for entry in error.issues]
        ) from None
    return dict(found.validated_data)


def checked_signed(document: dict, place: list) -> dict:
    """The members of a signed receipt by which it is stored. Raises InvalidInput."""
    return checked(SignedFlat if form_of(document) == FLAT else SignedNested, document, place)
