"""The format of the public registry: one JSON document for each provider, and a manifest.

Source: docs/http-contract.md, section "Registry".
"""

import hashlib
import re
from collections.abc import Mapping

import orjson
import rfc8785

# Always asked for, whatever the manifest lists.
WELL_KNOWN_PROVIDERS = ("anthropic", "google", "openai")
MANIFEST = "manifest.json"
# Names come from the network and become parts of addresses.
_PROVIDER_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,49}")
_MAX_PROVIDERS = 64  # each one is a request
_VERSION = re.compile(r"[A-Za-z0-9._+-]{1,64}")


class MalformedDocument(ValueError):
    """The bytes are not what the registry publishes under this path."""


def provider_path(provider: str) -> str:
    return f"{provider}/models.json"


def archive_path(provider: str, number: int) -> str:
    return f"{provider}/v/{number}/models.json"


def provider_of(path: str) -> str:
    """Return the provider whose file or archive has this path."""
    return path.split("/", 1)[0]


def is_provider_name(text: str) -> bool:
    return _PROVIDER_NAME.fullmatch(text) is not None


def parse_manifest(body: bytes) -> dict:
    """Return the manifest; raise MalformedDocument."""
    manifest = _parse_object(body, MANIFEST)
    providers = manifest.get("providers", {})
    if not isinstance(providers, dict):
        raise MalformedDocument(f"{MANIFEST}: `providers` is not an object")
    if len(providers) > _MAX_PROVIDERS:
        raise MalformedDocument(f"{MANIFEST}: lists {len(providers)} providers")
    return manifest


def parse_provider(body: bytes, path: str) -> dict:
    """Return a provider's document without entries that are not objects.

    Raises MalformedDocument.
    """
    document = _parse_object(body, path)
    models = document.get("models")
    if not isinstance(models, dict):
        raise MalformedDocument(f"{path}: `models` is not an object")
    entries = {key: entry for key, entry in models.items() if key and isinstance(entry, dict)}
    return {**document, "models": entries}


def listed_providers(manifest: Mapping) -> list[str]:
    """Return the providers that a manifest names, without names that could change an address."""
    return [name for name in manifest.get("providers", {}) if is_provider_name(name)]


def manifest_version(manifest: Mapping) -> str:
    """Return `version`, else `schema_version`, else the day of `updated_at`, else empty."""
    updated_at = manifest.get("updated_at")
    day = updated_at[:10] if isinstance(updated_at, str) else None
    for version in (manifest.get("version"), manifest.get("schema_version"), day):
        if isinstance(version, str) and _VERSION.fullmatch(version):
            return version
    return ""


def archive_count(document: Mapping) -> int:
    """Return the number of a document's newest archive; archives are numbered from 1."""
    number = document.get("version")
    return number if type(number) is int and number > 0 else 0


def digest(documents: Mapping[str, Mapping]) -> str:
    """Return the SHA-256 (hex) of the RFC 8785 form of the provider documents by provider.

    Raises MalformedDocument if there is no such form: integers beyond 2^53, endless nesting.
    """
    try:
        return hashlib.sha256(rfc8785.dumps(dict(documents))).hexdigest()
    except (rfc8785.CanonicalizationError, RecursionError) as error:
        raise MalformedDocument(f"the registry has no canonical form: {error}") from error


def _parse_object(body: bytes, path: str) -> dict:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedDocument(f"{path}: {error}") from error
    if not isinstance(document, dict):
        raise MalformedDocument(f"{path}: not a JSON object")
    # PostgreSQL cannot store NUL, and no genuine document has one.
    if b"\\u0000" in body:
        raise MalformedDocument(f"{path}: contains a NUL character")
    return document
