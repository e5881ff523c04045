"""`llmring-verify receipt.json --key public.pem`: verify a receipt without server or network.

Exit status: 0 valid, 1 not valid, 2 the files cannot be used.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from receipts import verification
from receipts.documents import AmbiguousJSON, id_of, parse
from receipts.keys import BadKey, PublicKey, pem_blocks

_VALID, _NOT_VALID, _UNUSABLE = 0, 1, 2


class _Unusable(Exception):
    """A file cannot be used; the message has the reason."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser("llmring-verify", description=__doc__.split("\n")[0])
    parser.add_argument("receipt", help="file with the receipt's JSON; - for standard input")
    parser.add_argument(
        "--key",
        required=True,
        action="append",
        metavar="FILE",
        help="public key: PEM, JWK, a public-keys.json, or base64; may be given more than once",
    )
    options = parser.parse_args(arguments)
    try:
        document = _document(options.receipt)
        key_id = document.get("key_id")
        id = key_id if isinstance(key_id, str) else ""
        trusted = [key for path in options.key for key in _keys(path, id)]
    except _Unusable as error:
        print(f"llmring-verify: {error}", file=sys.stderr)
        sys.exit(_UNUSABLE)
    try:
        verified = verification.verify(document, trusted)
    except verification.NotValid as error:
        print(f"not valid: {error}")
        sys.exit(_NOT_VALID)
    spelling = "" if verified.spelling == "as received" else f" ({verified.spelling} spelling)"
    print(f"valid: receipt {id_of(document)}, Ed25519, key {verified.key.id}{spelling}")
    sys.exit(_VALID)


def _text(path: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise _Unusable(f"{path}: {error.strerror}") from None


def _document(path: str) -> dict:
    try:
        document = parse(_text(path))
    except AmbiguousJSON as error:
        raise _Unusable(f"{path}: {error}") from None
    # The server's replies wrap it, and so do requests to store one.
    if isinstance(document, dict) and isinstance(document.get("receipt"), dict):
        document = document["receipt"]
    if not isinstance(document, dict):
        raise _Unusable(f"{path}: a receipt is a JSON object")
    return document


def _keys(path: str, id: str) -> list[PublicKey]:
    """Return the keys of a file; those without an id of their own get `id`."""
    text = _text(path).decode(errors="replace").strip()
    try:
        if text.startswith(("{", "[")):
            return _from_json(parse(text.encode()), id)
        if blocks := pem_blocks(text):
            return _usable(PublicKey.from_pem, blocks, id)
        return [PublicKey.parse(text, id)]
    except (BadKey, AmbiguousJSON) as error:
        raise _Unusable(f"{path}: {error}") from None


def _from_json(document: object, id: str) -> list[PublicKey]:
    """Return the keys of a JWK, a list of JWKs, a JWK set or our key document."""
    if isinstance(document, dict) and "keys" not in document:
        return [PublicKey.from_json(document, id)]
    entries = document["keys"] if isinstance(document, dict) else document
    if not isinstance(entries, list):
        raise BadKey("has no list of keys")
    return _usable(PublicKey.from_json, entries, id)


def _usable(read: Callable[[Any, str], PublicKey], entries: list, id: str) -> list[PublicKey]:
    """Return the Ed25519 keys among the entries. Raises BadKey if there is none.

    Others are ignored, as RFC 7517, section 5, has it for sets of keys.
    """
    usable, reason = [], BadKey("has no key")
    for entry in entries:
        try:
            usable.append(read(entry, id))
        except BadKey as error:
            reason = error
    if not usable:
        raise reason
    return usable
