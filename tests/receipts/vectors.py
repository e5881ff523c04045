"""Receipts and keys whose signatures are known from elsewhere (contract, section 6.2)."""

import json

from receipts import signing
from receipts.keys import SigningKey

SEED = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
PUBLIC = "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"
KEY = SigningKey(bytes(range(32)), "k-2025")
OTHER_KEY = SigningKey(bytes(range(1, 33)), "k-2026")

FLAT_TEXT = (
    '{"alias":"summarizer","completion_tokens":5,"input_cost":0.001,"lock_digest":"abc",'
    '"model":"gpt-4o","output_cost":0.002,"profile":"prod","prompt_tokens":10,'
    '"provider":"openai","receipt_id":"rcpt_0123456789abcdef",'
    '"timestamp":"2025-01-02T03:04:05+00:00","total_cost":0.003,"total_tokens":15}'
)
FLAT_SIGNATURE = (
    "ed25519:u7ceuG3mAZvUFOUqW6cXMNKI5L547g8ikxXTpmShMuobjKCNepcw6ZZGybCBvRZ7orp9eeRziNq40dFgLVLsBQ"
)
NESTED_TEXT = (
    '{"alias":"fast","cost":{"amount":0.00033,"calculation":"demo"},"id":"rcpt-demo-1",'
    '"key_id":"k-2025","lock_digest":"sha256:00ff","model":"openai:gpt-4o-mini",'
    '"profile":"prod","timestamp":"2025-01-02T03:04:05Z",'
    '"tokens":{"cached_input":200,"input":1200,"output":300}}'
)
NESTED_SIGNATURE = (
    "ed25519:IwyZsCL0Z4a9jG9Vp9AhagHn8BKvxe_864NRGpnU2TIa_1ATQ5UiWIHmzpxLGemXnkuG0BYxVOPPBJepSHeYCg"
)


def configure(settings) -> None:
    """Have the server sign with the key of the vectors."""
    settings.RECEIPTS_PRIVATE_KEY = SEED
    settings.RECEIPTS_PUBLIC_KEY = PUBLIC
    settings.RECEIPTS_KEY_ID = KEY.id


def flat() -> dict:
    """The flat receipt without its signature."""
    return json.loads(FLAT_TEXT)


def signed_flat() -> dict:
    return flat() | {"signature": FLAT_SIGNATURE}


def flat_as_sent() -> dict:
    """The same as the older server sent it: the time spelt differently from what was signed."""
    return signed_flat() | {"timestamp": "2025-01-02T03:04:05Z"}


def nested() -> dict:
    """The nested receipt without its signature."""
    return json.loads(NESTED_TEXT)


def signed_nested() -> dict:
    return nested() | {"signature": NESTED_SIGNATURE}


def signature_of(document: dict, key: SigningKey = KEY) -> str:
    """The signature of a document, which may have another one already."""
    return signing.signed_text(document, key)[1]
