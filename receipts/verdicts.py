"""What `POST /receipts/verify` answers."""

from receipts import verification
from receipts.forms import id_of
from receipts.keys import PublicKey


def verdict(document: dict, known: list[PublicKey]) -> dict:
    """Whether the receipt is valid, by which key, or why not."""
    try:
        found = verification.verify(document, known)
    except verification.NotValid as error:
        outcome = {"valid": False, "algorithm": "Ed25519", "reason": str(error)}
    else:
        outcome = {"valid": True, "algorithm": "Ed25519", "key_id": found.key.id}
    return {"receipt_id": id_of(document), **outcome}
