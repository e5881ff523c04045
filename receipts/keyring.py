"""The keys of this server: the one that signs, and all that verify.

Settings name the signing key and may name retired ones; the table `receipt_keys`
remembers every key that ever signed here.
Source: docs/http-contract/receipts.md, section "Receipt keys".
"""

import time
from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from core.errors import DomainError
from receipts.keys import BadKey, PublicKey, SigningKey, decode

_LISTED_SECONDS = 5  # other processes' new keys are known that soon
_LONGEST_ID = 255


class UnusableSigningKey(DomainError):
    code = "unusable_signing_key"


class NoSigningKey(UnusableSigningKey):
    code = "no_signing_key"

    def __init__(self) -> None:
        super().__init__(
            "No signing key is configured, so nothing can be signed: run "
            "`manage.py generatereceiptkey` and set the variables it prints"
        )


# What this process knows of the table: its own key is there, and what stood there when.
_registered: set[PublicKey] = set()
_listed: tuple[float, tuple[PublicKey, ...]] = (float("-inf"), ())


@dataclass(frozen=True, slots=True)
class Configured:
    signing: SigningKey | None
    current: PublicKey | None
    retired: tuple[PublicKey, ...]


def configured() -> Configured:
    """The keys of the settings, parsed once. Raises ImproperlyConfigured."""
    return _parse(
        settings.RECEIPTS_PRIVATE_KEY,
        settings.RECEIPTS_PUBLIC_KEY,
        settings.RECEIPTS_KEY_ID,
        tuple(settings.RECEIPTS_RETIRED_KEYS),
    )


@lru_cache(maxsize=4)
def _parse(private: str, public: str, id: str, retired: tuple[str, ...]) -> Configured:
    if len(id) > _LONGEST_ID or "\x00" in id:
        raise ImproperlyConfigured(
            f"LLMRING_RECEIPTS_KEY_ID must be at most {_LONGEST_ID} characters."
        )
    signing = current = None
    if private:
        try:
            signing = SigningKey(decode(private), id)
        except BadKey as error:
            # The value is a secret: only what is wrong with it is told.
            raise ImproperlyConfigured(
                f"LLMRING_RECEIPTS_PRIVATE_KEY_B64 {error}; "
                "`manage.py generatereceiptkey` makes one."
            ) from None
        current = signing.public
    if public:
        current = _public("LLMRING_RECEIPTS_PUBLIC_KEY_B64", public, id)
        if signing and signing.public != current:
            raise ImproperlyConfigured(
                "LLMRING_RECEIPTS_PUBLIC_KEY_B64 does not belong to "
                f"LLMRING_RECEIPTS_PRIVATE_KEY_B64, whose public key is {signing.public.text}."
            )
    older = tuple(_retired(entry) for entry in retired)
    for one in older:
        if current and one.id == current.id and one.raw != current.raw:
            raise ImproperlyConfigured(
                f"LLMRING_RECEIPTS_RETIRED_KEYS names a key {one.id}, which is the current id."
            )
    return Configured(signing, current, older)


def _retired(entry: str) -> PublicKey:
    """A retired key: `id:base64`, or the base64 alone."""
    id, _, text = entry.rpartition(":")
    return _public("LLMRING_RECEIPTS_RETIRED_KEYS", text, id.strip())


def _public(variable: str, text: str, id: str) -> PublicKey:
    try:
        return PublicKey.parse(text, id)
    except BadKey as error:
        raise ImproperlyConfigured(f"{variable} {error} (got {text!r}).") from None


def signing_key() -> SigningKey:
    """The key that signs, listed for good from its first use. Raises UnusableSigningKey."""
    if key := remembered_signing_key():
        return key
    key = configured().signing
    if key is None:
        raise NoSigningKey
    try:
        register_signing_key()
    except ImproperlyConfigured as error:
        raise UnusableSigningKey(str(error)) from None
    return key


def remembered_signing_key() -> SigningKey | None:
    """The key that signs, if that is certain without a query."""
    key = configured().signing
    return key if key and key.public in _registered else None


def register_signing_key() -> None:
    """Store the public half of the signing key, if there is one, among those that signed.

    Raises ImproperlyConfigured when its id was another key's before.
    """
    from receipts.models import ReceiptKey

    key = configured().signing
    if key is None:
        return
    row = ReceiptKey(key_id=key.id, public_key=key.public.raw)
    ReceiptKey.objects.bulk_create([row], ignore_conflicts=True)
    first = ReceiptKey.objects.filter(key_id=key.id).first()
    if first and bytes(first.public_key) != key.public.raw:
        raise ImproperlyConfigured(
            f"LLMRING_RECEIPTS_KEY_ID {key.id!r} was another key's before; give this one a new id."
        )
    # Inside a transaction that may yet be rolled back, only its commit makes it certain.
    transaction.on_commit(lambda: _registered.add(key.public))


def known() -> list[PublicKey]:
    """Every key that verifies, the current one first, then from the newest to the oldest.

    One query every five seconds.
    """
    from receipts.models import ReceiptKey

    global _listed
    if (keys := remembered()) is not None:
        return keys
    _listed = (time.monotonic(), tuple(row.key for row in ReceiptKey.objects.all()))
    return _joined()


def remembered() -> list[PublicKey] | None:
    """The same without a query; None when one is due."""
    return _joined() if time.monotonic() - _listed[0] < _LISTED_SECONDS else None


def _joined() -> list[PublicKey]:
    found = configured()
    current = (found.current,) if found.current else ()
    return list(dict.fromkeys((*current, *_listed[1], *found.retired)))


def forget() -> None:
    """Forget what was read from the table, for tests that empty it."""
    global _listed
    _listed = (float("-inf"), ())
    _registered.clear()
