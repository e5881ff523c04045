"""The receipt keys of this server: the one that signs, and all that it trusts.

Settings name the signing key and may name retired ones; the table `receipt_keys`
lists every key that ever signed here.
Source: docs/http-contract/receipts.md, section "Receipt keys".
"""

import time
from dataclasses import dataclass
from functools import cache

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.db import transaction
from django.dispatch import receiver

from core.errors import DomainError
from receipts.keys import BadKey, PublicKey, SigningKey, decode

_CACHE_SECONDS = 5  # after which keys that other processes added are trusted here
_MAX_ID_LENGTH = 255


class UnusableSigningKey(DomainError):
    code = "unusable_signing_key"


class NoSigningKey(UnusableSigningKey):
    code = "no_signing_key"

    def __init__(self) -> None:
        super().__init__(
            "No signing key is configured, so nothing can be signed: run "
            "`manage.py generatereceiptkey` and set the variables it prints"
        )


# What this process knows: signing keys that are in the table; all trusted keys, and since when.
_registered: set[PublicKey] = set()
_trusted: tuple[float, list[PublicKey]] = (float("-inf"), [])


@dataclass(frozen=True, slots=True)
class ConfiguredKeys:
    signing: SigningKey | None
    current: PublicKey | None
    retired: tuple[PublicKey, ...]


@cache
def configured() -> ConfiguredKeys:
    """Return the keys of the settings. Raises ImproperlyConfigured."""
    private, public = settings.RECEIPTS_PRIVATE_KEY, settings.RECEIPTS_PUBLIC_KEY
    id = settings.RECEIPTS_KEY_ID
    if len(id) > _MAX_ID_LENGTH or "\x00" in id:
        raise ImproperlyConfigured(
            f"LLMRING_RECEIPTS_KEY_ID must be at most {_MAX_ID_LENGTH} characters."
        )
    signing = _parse_private(private, id) if private else None
    current = signing.public if signing else None
    if public:
        current = _parse_public("LLMRING_RECEIPTS_PUBLIC_KEY_B64", public, id)
        if signing and signing.public != current:
            raise ImproperlyConfigured(
                "LLMRING_RECEIPTS_PUBLIC_KEY_B64 does not belong to "
                f"LLMRING_RECEIPTS_PRIVATE_KEY_B64, whose public key is {signing.public.text}."
            )
    retired_keys = tuple(_parse_retired(entry) for entry in settings.RECEIPTS_RETIRED_KEYS)
    for key in retired_keys:
        if current and key.id == current.id and key.raw != current.raw:
            raise ImproperlyConfigured(
                f"LLMRING_RECEIPTS_RETIRED_KEYS names a key {key.id}, which is the current id."
            )
    return ConfiguredKeys(signing, current, retired_keys)


@receiver(setting_changed)
def _forget_configured(setting: str, **changed) -> None:
    if setting.startswith("RECEIPTS_"):
        configured.cache_clear()
        clear_cache()


def _parse_private(text: str, id: str) -> SigningKey:
    try:
        return SigningKey(decode(text), id)
    except BadKey as error:
        # The value is a secret: the message repeats nothing of it.
        raise ImproperlyConfigured(
            f"LLMRING_RECEIPTS_PRIVATE_KEY_B64 {error}; `manage.py generatereceiptkey` makes one."
        ) from None


def _parse_retired(entry: str) -> PublicKey:
    """Return a retired key, written as `id:base64` or as base64 alone."""
    id, _, text = entry.rpartition(":")
    return _parse_public("LLMRING_RECEIPTS_RETIRED_KEYS", text, id.strip())


def _parse_public(variable: str, text: str, id: str) -> PublicKey:
    try:
        return PublicKey.parse(text, id)
    except BadKey as error:
        raise ImproperlyConfigured(f"{variable} {error} (got {text!r}).") from None


def signing_key() -> SigningKey:
    """Return the signing key, and list it permanently. Raises UnusableSigningKey."""
    if key := cached_signing_key():
        return key
    key = configured().signing
    if key is None:
        raise NoSigningKey
    try:
        register_signing_key()
    except ImproperlyConfigured as error:
        raise UnusableSigningKey(str(error)) from None
    return key


def cached_signing_key() -> SigningKey | None:
    """Return the signing key; None if a query is needed to know that it is listed."""
    key = configured().signing
    return key if key and key.public in _registered else None


def register_signing_key() -> None:
    """Store the public half of the signing key, if there is one, in `receipt_keys`.

    Raises ImproperlyConfigured if its id belongs to another key there.
    """
    from receipts.models import ReceiptKey

    key = configured().signing
    if key is None:
        return
    row = ReceiptKey(key_id=key.id, public_key=key.public.raw)
    ReceiptKey.objects.bulk_create([row], ignore_conflicts=True)
    stored = ReceiptKey.objects.filter(key_id=key.id).first()
    if stored and bytes(stored.public_key) != key.public.raw:
        raise ImproperlyConfigured(
            f"LLMRING_RECEIPTS_KEY_ID {key.id!r} was another key's before; give this one a new id."
        )
    # A transaction around this call may yet be rolled back.
    transaction.on_commit(lambda: _registered.add(key.public))


def trusted() -> list[PublicKey]:
    """Return every key that verifies, the current one first, then the newest of the table.

    One query every five seconds.
    """
    from receipts.models import ReceiptKey

    global _trusted
    if (keys := cached_trusted()) is not None:
        return keys
    known, now = configured(), time.monotonic()
    current = [known.current] if known.current else []
    stored = [row.key for row in ReceiptKey.objects.all()]
    keys = list(dict.fromkeys([*current, *stored, *known.retired]))
    _trusted = (now, keys)
    return keys


def cached_trusted() -> list[PublicKey] | None:
    """Return the trusted keys without a query; None if one is due."""
    since, keys = _trusted
    return keys if time.monotonic() - since < _CACHE_SECONDS else None


def clear_cache() -> None:
    """Forget what was read, for tests that empty the table or change settings."""
    global _trusted
    _trusted = (float("-inf"), [])
    _registered.clear()
