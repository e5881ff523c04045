"""The files with which a receipt can be verified without this server, as downloads."""

import re
from collections.abc import Callable

from django.http import Http404, HttpResponse

from receipts import signing
from receipts.models import Receipt
from receipts.verification import NotValid, Verified, signed_text


def _verified(receipt: Receipt) -> Verified:
    try:
        return receipt.verify()
    except NotValid as error:
        raise Http404(f"The receipt is not valid: {error}") from None


def _text(receipt: Receipt) -> bytes:
    return signed_text(receipt.content, _verified(receipt).spelling)


def _signature(receipt: Receipt) -> bytes:
    _verified(receipt)
    return signing.decode(receipt.content.get("signature"))


# Content and type of each file, by its extension.
FILES: dict[str, tuple[Callable[[Receipt], bytes], str]] = {
    "json": (lambda receipt: receipt.document.encode(), "application/json"),
    "text": (_text, "application/octet-stream"),
    "signature": (_signature, "application/octet-stream"),
    "pem": (lambda receipt: _verified(receipt).key.pem.encode(), "application/x-pem-file"),
}


def file_name(receipt: Receipt, kind: str) -> str:
    """Return a name that every shell and file system takes as it is."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", receipt.receipt_id).strip("-.") or "receipt"
    return f"{stem[:100]}.{kind}"


def download(receipt: Receipt, kind: str) -> HttpResponse:
    """Return a file. Raises Http404, also for what only a valid receipt has."""
    if kind not in FILES:
        raise Http404("There is no such file")
    content, content_type = FILES[kind]
    response = HttpResponse(content(receipt), content_type=content_type)
    name = file_name(receipt, kind)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def commands(receipt: Receipt) -> list[str]:
    """Return the shell commands that verify the receipt, once its files are downloaded."""
    names = {kind: file_name(receipt, kind) for kind in FILES}
    return [
        f"openssl pkeyutl -verify -pubin -inkey {names['pem']} -rawin "
        f"-in {names['text']} -sigfile {names['signature']}",
        f"llmring-verify {names['json']} --key {names['pem']}",
    ]
