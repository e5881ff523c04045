"""A receipt fetched from a running server is proved genuine by software that is not ours."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import requests
import rfc8785
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from receipts import keys
from tests.receipts import vectors
from tests.server import Server, open_to_postgresql

pytestmark = pytest.mark.servers

RECEIPT = "/api/v1/receipts/rcpt-demo-1"


@pytest.fixture(scope="module")
def server(first_start, tmp_path_factory):
    folder = open_to_postgresql(tmp_path_factory.mktemp("receipts"))
    with Server(
        first_start.copy(folder / "data"),
        LLMRING_RECEIPTS_PRIVATE_KEY_B64=vectors.SEED,
        LLMRING_RECEIPTS_KEY_ID="k-2025",
        LLMRING_WORKERS="1",
    ) as server:
        requests.post(
            f"{server.url}/api/v1/receipts",
            json=vectors.nested(),
            headers={"X-API-Key": server.key},
            timeout=10,
        ).raise_for_status()
        yield server


def fetched(url: str, key: str = "") -> bytes:
    if curl := shutil.which("curl"):
        command = [curl, "-sSf", "-H", f"X-API-Key: {key}", url]
        return subprocess.run(command, capture_output=True, check=True).stdout
    return requests.get(url, headers={"X-API-Key": key}, timeout=10).content


@pytest.fixture
def proof(server):
    """The signed text, its signature, and the PEM of the server, made without code of ours."""
    receipt = json.loads(fetched(server.url + RECEIPT, server.key))
    signature = keys.decode(receipt.pop("signature").removeprefix("ed25519:"))
    return rfc8785.dumps(receipt), signature, fetched(f"{server.url}/receipts/public-key.pem")


def test_cryptography_verifies_it(proof):
    text, signature, pem = proof
    load_pem_public_key(pem).verify(signature, text)


def test_openssl_verifies_it(proof, tmp_path):
    openssl = shutil.which("openssl")
    if openssl is None:
        return  # the test above has proved the same with the library
    names = ("text", "signature", "key.pem")
    for name, content in zip(names, proof, strict=True):
        (tmp_path / name).write_bytes(content)
    command = [openssl, "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin"]
    command += ["-in", "text", "-sigfile", "signature"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "Signature Verified Successfully")
    (tmp_path / "text").write_bytes(proof[0].replace(b"fast", b"slow"))
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode != 0


def test_llmring_verify_does_too(server, tmp_path):
    (tmp_path / "receipt.json").write_bytes(fetched(server.url + RECEIPT, server.key))
    for path in ("/receipts/public-key.pem", "/receipts/public-keys.json"):
        (tmp_path / "key").write_bytes(fetched(server.url + path))
        done = subprocess.run(
            [Path(sys.executable).with_name("llmring-verify"), "receipt.json", "--key", "key"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.stdout == "valid: receipt rcpt-demo-1, Ed25519, key k-2025\n", done.stderr


def test_the_start_refuses_a_pair_that_does_not_match(tmp_path):
    server = Server(
        tmp_path / "data",
        LLMRING_RECEIPTS_PRIVATE_KEY_B64=vectors.SEED,
        LLMRING_RECEIPTS_PUBLIC_KEY_B64=vectors.OTHER_KEY.public.text,
    )
    assert server.process.wait(60) == 1
    assert "error: LLMRING_RECEIPTS_PUBLIC_KEY_B64 does not belong to" in server.output
    assert vectors.SEED not in server.output
