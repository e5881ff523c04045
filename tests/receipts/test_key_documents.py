"""All five key documents, without a key: valid, and readable by other software."""

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from tests.receipts import vectors

PATHS = [
    "/receipts/public-key.pem",
    "/receipts/public-key.jwk",
    "/receipts/public-keys.json",
    "/api/v1/receipts/public-key.pem",
    "/api/v1/receipts/public-keys.json",
]
STANDARD = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="


@pytest.mark.parametrize("setting", [vectors.PUBLIC, STANDARD], ids=["base64url", "standard"])
@pytest.mark.parametrize(
    ("path", "type"),
    [(PATHS[0], "text/plain; charset=utf-8"), (PATHS[3], "application/x-pem-file")],
)
def test_pems_open_elsewhere(anonymous, signing, path, type, setting):
    signing.RECEIPTS_PUBLIC_KEY = setting
    reply = anonymous.get(path)
    assert (reply.status_code, reply["Content-Type"]) == (200, type)
    assert load_pem_public_key(reply.content).public_bytes_raw() == vectors.KEY.public.raw


def test_the_jwk_has_base64url_whatever_the_setting(anonymous, signing):
    signing.RECEIPTS_PUBLIC_KEY = STANDARD
    assert anonymous.read(PATHS[1]) == {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": vectors.PUBLIC,
        "kid": "k-2025",
        "use": "sig",
        "alg": "EdDSA",
    }


def test_the_list_is_an_array_of_jwks(anonymous, signing):
    assert anonymous.read(PATHS[2]) == [
        {
            **anonymous.read(PATHS[1]),
            "key_id": "k-2025",
            "public_key": vectors.PUBLIC,
            "public_key_pem": anonymous.get(PATHS[0]).content.decode(),
        }
    ]


def test_the_document_names_the_current_key(anonymous, signing):
    assert anonymous.read(PATHS[4]) == {
        "keys": [
            {
                "key_id": "k-2025",
                "public_key": vectors.PUBLIC,
                "algorithm": "Ed25519",
                "format": "base64url",
            }
        ],
        "current_key_id": "k-2025",
    }


@pytest.mark.parametrize("path", PATHS)
def test_without_keys_they_are_404(anonymous, path):
    assert anonymous.read(path, expect=404) == {"detail": "Public key not configured"}


@pytest.mark.parametrize("path", PATHS)
def test_they_are_served_with_a_slash_too_and_whatever_key_is_sent(anonymous, signing, path):
    assert anonymous.get(f"{path}/", HTTP_X_API_KEY="no key at all").status_code == 200
