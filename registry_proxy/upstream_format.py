"""The format of the public registry: one JSON document for each provider, and a manifest.

Source: docs/http-contract.md, section "Registry".
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping

import orjson
import rfc8785

from core.schemas import SAFE_INTEGER_MAX
from registry_proxy.prices import PRICE_PREFIX, parse_price

# Always asked for, whatever the manifest lists.
WELL_KNOWN_PROVIDERS = ("anthropic", "google", "openai")
MANIFEST = "manifest.json"
# Names come from the network and become parts of addresses.
_PROVIDER_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,49}")
_MAX_PROVIDERS = 64  # each one is a request
_VERSION = re.compile(r"[A-Za-z0-9._+-]{1,64}")
_LONG_INTEGER = re.compile(rb"\d{19}")
_MAX_PROBLEMS = 20


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
    manifest = _parse_object(body)
    providers = manifest.get("providers", {})
    if not isinstance(providers, dict):
        raise MalformedDocument("`providers` is not an object")
    if len(providers) > _MAX_PROVIDERS:
        raise MalformedDocument(f"lists {len(providers)} providers")
    return manifest


def parse_provider(body: bytes) -> dict:
    """Return a provider's document without entries that are not objects.

    Raises MalformedDocument.
    """
    document = _parse_object(body)
    models = document.get("models")
    if not isinstance(models, dict):
        raise MalformedDocument("`models` is not an object")
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

    Integers beyond 2^53, which have no such form, count as texts of their digits.
    Raises MalformedDocument if there is no such form for another reason.
    """
    try:
        canonical = rfc8785.dumps(_without_big_integers(dict(documents)))
    except (rfc8785.CanonicalizationError, RecursionError) as error:
        raise MalformedDocument(f"the registry has no canonical form: {error}") from error
    return hashlib.sha256(canonical).hexdigest()


def provider_documents(bodies: Mapping[str, bytes]) -> dict[str, dict]:
    """Return the provider documents among files, by provider. Raises MalformedDocument."""
    return {
        provider_of(path): parse_provider(body)
        for path, body in sorted(bodies.items())
        if path != MANIFEST
    }


def problems(bodies: Mapping[str, bytes]) -> list[str]:
    """Return which entries of the provider files are ignored, and why; 20 lines at most."""
    lines = [
        problem
        for path, body in sorted(bodies.items())
        if path != MANIFEST
        for problem in _ignored(path, _parse_object(body)["models"])
    ]
    if len(lines) > _MAX_PROBLEMS:
        lines[_MAX_PROBLEMS - 1 :] = [f"and {len(lines) - _MAX_PROBLEMS + 1} more"]
    return lines


def _ignored(path: str, models: Mapping[str, object]) -> Iterator[str]:
    for key, entry in models.items():
        if not key or not isinstance(entry, dict):
            yield f"{path}: the entry {key[:100]!r} is not an object"
            continue
        for name, value in entry.items():
            if name.startswith(PRICE_PREFIX) and value is not None and parse_price(value) is None:
                yield f"{path}: {key[:100]}: {name} is not a price: {str(value)[:50]!r}"


def _without_big_integers(value: object) -> object:
    """Return the value with integers that RFC 8785 refuses as their digits."""
    if isinstance(value, dict):
        return {name: _without_big_integers(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_big_integers(inner) for inner in value]
    is_big = type(value) is int and abs(value) > SAFE_INTEGER_MAX
    return str(value) if is_big else value


def _parse_object(body: bytes) -> dict:
    try:
        document = orjson.loads(body)
        if _LONG_INTEGER.search(body):  # orjson makes doubles of integers beyond 64 bits
            document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedDocument(f"invalid JSON: {error}") from error
    if not isinstance(document, dict):
        raise MalformedDocument("not a JSON object")
    # PostgreSQL cannot store NUL, and no genuine document has one.
    if b"\\u0000" in body:
        raise MalformedDocument("contains a NUL character")
    return document
