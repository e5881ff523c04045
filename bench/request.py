"""The requests that a run makes."""

import json
from dataclasses import dataclass

# Well-formed keys that were never issued: both servers open a project for each. Reading and
# writing cases have their own, so that reading cases find the same rows in every round.
WRITER_KEY = "llmr_pk_" + "0a" * 16
READER_KEY = "llmr_pk_" + "0b" * 16


@dataclass(frozen=True)
class Request:
    """What is sent. `body` is JSON text or nothing."""

    method: str
    path: str
    body: bytes | None = None
    api_key: str = WRITER_KEY


def post(path: str, content: object, *, api_key: str = WRITER_KEY) -> Request:
    """Return a request that carries `content` as compact JSON."""
    return Request("POST", path, json.dumps(content, separators=(",", ":")).encode(), api_key)


def get(path: str, *, api_key: str = WRITER_KEY) -> Request:
    return Request("GET", path, api_key=api_key)
