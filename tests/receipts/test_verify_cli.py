"""`llmring-verify`: a program of its own, without Django and without network."""

import json
import subprocess
import sys

import pytest

from receipts import verify_cli
from tests.receipts import vectors

RSA_PEM = "-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEBBQADSwAw\n-----END PUBLIC KEY-----\n"
FOREIGN = [
    {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "rsa"},
    {"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA", "kid": "p-384"},
    vectors.OTHER_KEY.public.jwk | {"crv": "X25519"},
    {"kid": "none"},
]


@pytest.fixture
def run(tmp_path, capsys):
    """Runs the program on a receipt and a key's text; returns its status and its output."""

    def run(receipt, key=vectors.KEY.public.pem):
        text = receipt if isinstance(receipt, str) else json.dumps(receipt)
        (tmp_path / "receipt.json").write_text(text)
        (tmp_path / "key").write_text(key if isinstance(key, str) else json.dumps(key))
        with pytest.raises(SystemExit) as ended:
            verify_cli.main([str(tmp_path / "receipt.json"), "--key", str(tmp_path / "key")])
        output = capsys.readouterr()
        return ended.value.code, output.out + output.err

    return run


@pytest.mark.parametrize(
    "receipt",
    [vectors.signed_flat(), vectors.flat_as_sent(), {"receipt": vectors.signed_nested()}],
    ids=["flat", "older flat", "nested, wrapped"],
)
@pytest.mark.parametrize(
    "key",
    [
        vectors.KEY.public.pem,
        vectors.KEY.public.text,
        vectors.KEY.public.jwk,
        {"kty": "OKP", "crv": "Ed25519", "x": vectors.PUBLIC},
        [vectors.OTHER_KEY.public.jwk, vectors.KEY.public.jwk],
        {"keys": [{"key_id": "k-2025", "public_key": vectors.PUBLIC}]},
        {"keys": [*FOREIGN, vectors.KEY.public.jwk]},
        [*FOREIGN, vectors.KEY.public.jwk, *FOREIGN],
        vectors.OTHER_KEY.public.pem + RSA_PEM + vectors.KEY.public.pem,
    ],
    ids=[
        "PEM",
        "base64",
        "JWK",
        "JWK without id",
        "list of JWKs",
        "key document",
        "JWK set with foreign keys",
        "list with foreign keys",
        "several PEM blocks",
    ],
)
def test_genuine_receipts_are_valid_with_every_form_of_the_key(run, receipt, key):
    status, output = run(receipt, key)
    assert (status, output[:7]) == (0, "valid: "), output


def test_the_reason_is_printed(run):
    assert run(vectors.signed_flat() | {"model": "gpt-5"}) == (
        1,
        "not valid: the signature does not match the document\n",
    )
    assert run(vectors.flat()) == (1, "not valid: the signature is missing\n")
    assert run(vectors.signed_nested(), vectors.OTHER_KEY.public.jwk) == (
        1,
        "not valid: unknown key id 'k-2025'\n",
    )


@pytest.mark.parametrize(
    ("receipt", "key", "reason"),
    [
        ('{"a":1,"a":2}', vectors.PUBLIC, '"a" occurs twice'),
        ("[]", vectors.PUBLIC, "JSON object"),
        ("{", vectors.PUBLIC, "position"),
        ("{}", "x", "not base64"),
        ("{}", "{}", "without an Ed25519 key"),
        ("{}", '{"keys":{}}', "no list of keys"),
        ("{}", '{"keys":[]}', "no key"),
        ("{}", "[]", "no key"),
        ("{}", '{"keys":[5]}', "not an object"),
        ("{}", vectors.KEY.public.jwk | {"kty": "EC", "crv": "P-256"}, "another kind"),
        ("{}", vectors.KEY.public.jwk | {"crv": "X25519"}, "another kind"),
        ("{}", vectors.KEY.public.jwk | {"crv": "Ed448"}, "another kind"),
        ("{}", {"kty": "oct", "k": vectors.PUBLIC}, "another kind"),
        ("{}", {"kty": "OKP", "x": vectors.PUBLIC}, "another kind"),
        ("{}", {"x": vectors.PUBLIC}, "without an Ed25519 key"),
        ("{}", vectors.KEY.public.jwk | {"use": "enc"}, "not for signatures"),
        ("{}", vectors.KEY.public.jwk | {"alg": "ES256"}, "without an Ed25519 key"),
        ("{}", {"public_key": vectors.PUBLIC, "algorithm": "RSA"}, "without an Ed25519 key"),
        ("{}", {"public_key": [vectors.PUBLIC]}, "without an Ed25519 key"),
        ("{}", {"keys": [{"kty": "RSA"}, {"kty": "EC", "crv": "P-384"}]}, "another kind"),
        ("{}", vectors.KEY.public.jwk | {"x": "A" * 43}, "no point of the curve"),
        ("{}", RSA_PEM, "PEM of another kind"),
    ],
)
def test_unusable_files_are_named(run, receipt, key, reason):
    status, output = run(receipt, key)
    assert status == 2 and reason in output


def test_a_missing_file_is_named(capsys):
    with pytest.raises(SystemExit) as ended:
        verify_cli.main(["/nowhere/receipt.json", "--key", "/nowhere/key.pem"])
    assert ended.value.code == 2
    assert "/nowhere/receipt.json: No such file" in capsys.readouterr().err


def test_the_program_needs_neither_django_nor_a_socket():
    program = (
        "import socket, sys; socket.socket = None; from receipts import verify_cli\n"
        "loaded = {name.split('.')[0] for name in sys.modules}\n"
        "assert not loaded & {'django', 'rest_framework', 'psycopg', 'llmring_site'}, loaded\n"
        "verify_cli.main(['-', '--key', sys.argv[1]])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, "/nowhere"], input=b"{}", capture_output=True, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (
        2,
        b"llmring-verify: /nowhere: No such file or directory\n",
    )
