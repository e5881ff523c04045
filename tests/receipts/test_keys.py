"""Keys are read in every encoding and written in one; other software reads the documents."""

import base64
import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from receipts import keys
from receipts.keys import BadKey, PublicKey, SigningKey, decode
from tests.receipts import vectors

STANDARD = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="


def test_the_vectors_keys_are_those_of_the_contract():
    key = SigningKey(decode(vectors.SEED))
    assert key.public.text == vectors.PUBLIC
    assert key.id == key.public.id == "key_b43cdfe1bf180ef4"
    assert key.public.pem == (
        "-----BEGIN PUBLIC KEY-----\n"
        "MCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=\n"
        "-----END PUBLIC KEY-----\n"
    )


@pytest.mark.parametrize(
    "text", [STANDARD, STANDARD[:-1], vectors.PUBLIC, vectors.PUBLIC + "=", f" {STANDARD}\n"]
)
def test_every_spelling_of_base64_is_the_same_key(text):
    assert PublicKey.parse(text, "k").text == vectors.PUBLIC


def test_a_pem_is_read_back():
    assert PublicKey.parse(vectors.KEY.public.pem, "k-2025") == vectors.KEY.public


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "0 bytes"),
        (vectors.PUBLIC[:-3], "30 bytes"),
        ("not base64!", "not base64"),
        ("é" * 43, "not base64"),
        (keys.encode(bytes(32)), "no point"),
        (keys.encode(bytes([1, *bytes(31)])), "no point"),
        (keys.encode(bytes([2, *bytes(31)])), "no point"),
        (keys.encode(b"\xff" * 32), "no point"),
        ("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", "48 bytes"),
        (vectors.KEY.public.pem * 2, "several PEM blocks"),
        ("-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----", "another kind"),
    ],
)
def test_texts_of_other_kinds_are_refused(text, reason):
    with pytest.raises(BadKey, match=reason):
        PublicKey.parse(text)
    with pytest.raises(BadKey, match="31 bytes"):
        SigningKey(bytes(31))


def test_the_pem_opens_with_other_software(tmp_path):
    loaded = load_pem_public_key(vectors.KEY.public.pem.encode())
    assert loaded.public_bytes_raw() == vectors.KEY.public.raw
    if openssl := shutil.which("openssl"):
        process = subprocess.run(
            [openssl, "pkey", "-pubin", "-outform", "DER"],
            input=vectors.KEY.public.pem.encode(),
            capture_output=True,
            check=True,
        )
        assert process.stdout.hex() == (
            "302a300506032b657003210003a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
        )


def test_the_jwk_has_the_members_of_rfc_8037():
    jwk = vectors.KEY.public.jwk
    assert (jwk["kty"], jwk["crv"], jwk["kid"]) == ("OKP", "Ed25519", "k-2025")
    assert base64.urlsafe_b64decode(jwk["x"] + "=") == vectors.KEY.public.raw


def test_secrets_are_not_shown():
    assert vectors.SEED not in repr(vectors.KEY) and "\\x00\\x01" not in repr(vectors.KEY)
