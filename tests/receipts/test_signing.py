"""The test vectors of the contract, and every way in which a signature can be malformed."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from nacl.signing import VerifyKey

from receipts import keys, signing, verification
from receipts.documents import canonical
from tests.receipts import vectors


@pytest.mark.parametrize(
    ("document", "text", "signature"),
    [
        (vectors.flat(), vectors.FLAT_TEXT, vectors.FLAT_SIGNATURE),
        (vectors.nested(), vectors.NESTED_TEXT, vectors.NESTED_SIGNATURE),
    ],
    ids=["flat", "nested"],
)
def test_vectors_are_signed_as_in_the_contract(document, text, signature):
    assert canonical(document) == text.encode()
    assert vectors.signature_of(document) == signature
    assert vectors.signature_of(document | {"signature": "ignored"}) == signature


def test_nested_vector_has_the_size_and_digest_of_the_contract():
    digest = hashlib.sha256(canonical(vectors.nested())).hexdigest()
    assert len(canonical(vectors.nested())) == 265
    assert digest.startswith("48a55d98") and digest.endswith("2a9a44")


@pytest.mark.parametrize(
    ("document", "spelling"),
    [
        (vectors.signed_flat(), "as received"),
        (vectors.flat_as_sent(), "older flat"),
        (vectors.signed_nested(), "as received"),
    ],
    ids=["flat", "flat as the older server sent it", "nested"],
)
def test_vectors_verify(document, spelling):
    verified = verification.verify(document, [vectors.OTHER_KEY.public, vectors.KEY.public])
    assert (verified.key, verified.spelling) == (vectors.KEY.public, spelling)


def test_other_libraries_verify_what_we_sign():
    signature = keys.decode(vectors.signature_of(vectors.nested()).removeprefix("ed25519:"))
    text = canonical(vectors.nested())
    raw = vectors.KEY.public.raw
    Ed25519PublicKey.from_public_bytes(raw).verify(signature, text)
    assert VerifyKey(raw).verify(text, signature) == text


def test_nested_receipts_of_august_2025_verify():
    """They were signed over Python's spelling of times and amounts (contract, 6.2)."""
    text = (
        '{"alias":"caf\\u00e9","cost":{"amount":"0.00033","calculation":"demo"},"id":"r",'
        '"timestamp":"2025-01-02 03:04:05+00:00","tokens":{"input":1,"output":2}}'
    )
    document = {
        "id": "r",
        "alias": "café",
        "timestamp": "2025-01-02T03:04:05Z",
        "tokens": {"input": 1, "output": 2},
        "cost": {"amount": "0.00033", "calculation": "demo"},
        "signature": signing.sign_text(text.encode(), vectors.KEY),
    }
    assert verification.verify(document, [vectors.KEY.public]).spelling == "older nested"
    document["cost"]["amount"] = 0.00033
    assert verification.verify(document, [vectors.KEY.public]).spelling == "older nested"
    document["cost"]["amount"] = 0.00034
    with pytest.raises(verification.NotValid, match="does not match"):
        verification.verify(document, [vectors.KEY.public])


@pytest.mark.parametrize(
    ("signature", "reason"),
    [
        (None, "missing"),
        (5, "missing"),
        ("", "begin with ed25519:"),
        (vectors.FLAT_SIGNATURE.removeprefix("ed25519:"), "begin with ed25519:"),
        (vectors.FLAT_SIGNATURE[:-1], "86 characters"),
        (vectors.FLAT_SIGNATURE + "A", "86 characters"),
        (vectors.FLAT_SIGNATURE + "==", "86 characters"),
        (vectors.FLAT_SIGNATURE.replace("u7", "+7"), "86 characters"),
        (vectors.FLAT_SIGNATURE[:-1] + "R", "surplus bits"),
        (vectors.FLAT_SIGNATURE.replace("u7", "v7"), "does not match"),
        (vectors.NESTED_SIGNATURE, "does not match"),
    ],
)
def test_malformed_signatures_are_refused_with_the_reason(signature, reason):
    with pytest.raises(verification.NotValid, match=reason):
        verification.verify(vectors.flat() | {"signature": signature}, [vectors.KEY.public])


def test_unknown_keys_are_named():
    with pytest.raises(verification.NotValid, match="unknown key id 'k-2025'"):
        verification.verify(vectors.signed_nested(), [vectors.OTHER_KEY.public])
    with pytest.raises(verification.NotValid, match="does not match"):
        verification.verify(vectors.signed_flat(), [vectors.OTHER_KEY.public])
    with pytest.raises(verification.NotValid, match="no public key"):
        verification.verify(vectors.signed_flat(), [])
