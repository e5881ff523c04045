"""Schemathesis: whatever is sent, the replies are those that `/openapi.json` describes."""

import os
import subprocess
from base64 import b64encode
from pathlib import Path

import pytest
import requests

from tests import peer_environments
from tests.server import Server, open_to_postgresql

pytestmark = pytest.mark.peers

SCHEMATHESIS = "schemathesis==4.32.5"
HOOKS = Path(__file__).parent / "peers"
CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance"),
    *("response_schema_conformance", "response_headers_conformance"),
    *("allow_header_conformance", "unsupported_method"),
)
TOKEN = "a-management-token-of-32-letters"
PERSON = {"email": "ana@example.org", "password": "correct horse battery staple"}
FOR_PEOPLE = "/api/v1/(auth|projects|invitations)"
# Those end the caller's key or session; these ask servers that are not there.
LEFT_OUT = "/keys|auth/(log|delete|change|regen|retrieve|callback)|/archive|/refresh|/v/"


@pytest.fixture(scope="module")
def server(first_start, tmp_path_factory):
    folder = open_to_postgresql(tmp_path_factory.mktemp("conformance"))
    key = b64encode(bytes(range(32))).decode()
    variables = {"MANAGEMENT_TOKEN": TOKEN, "LLMRING_RECEIPTS_PRIVATE_KEY_B64": key}
    with Server(first_start.copy(folder / "data"), **variables) as server:
        # First: the other tests use up what an address may register.
        server.session = requests.Session()
        reply = server.session.post(f"{server.url}/api/v1/register", json=PERSON, timeout=10)
        reply.raise_for_status()
        yield server


def check(server: Server, selection: list[str], headers: dict[str, str]) -> None:
    """Send the examples of the document, and each of their members and parameters made odd."""
    python = peer_environments.python(SCHEMATHESIS)
    done = subprocess.run(
        [
            *(python, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json"),
            *("--phases", "examples,coverage", "--checks", ",".join(CHECKS)),
            *("--continue-on-failure", "--no-shrink", "--no-color", "--seed", "1", *selection),
            *(word for name, value in headers.items() for word in ("-H", f"{name}: {value}")),
        ],
        env=os.environ | {"SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(HOOKS)},
        capture_output=True,
        text=True,
        timeout=600,
        cwd=server.log.parent,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_with_a_key(server):
    selection = ["--exclude-path-regex", f"{LEFT_OUT}|^/manage|^/v1|^{FOR_PEOPLE}"]
    check(server, selection, {"X-API-Key": server.key})


def test_with_the_management_token(server):
    check(server, ["--include-path-regex", "^/manage"], {"Authorization": f"Bearer {TOKEN}"})


def test_with_a_session(server):
    session = server.session
    headers = {
        "Cookie": "; ".join(f"{name}={value}" for name, value in session.cookies.items()),
        "X-CSRFToken": session.cookies["csrftoken"],
    }
    selection = ["--include-path-regex", f"^{FOR_PEOPLE}", "--exclude-path-regex", LEFT_OUT]
    check(server, selection, headers)
    assert session.get(f"{server.url}/api/v1/auth/me", timeout=10).ok  # it got in
