"""A project's aliases in the format of the client's lockfile, `llmring.lock`.

The client reads TOML, and JSON from files named `*.json`.
"""

from collections.abc import Iterable
from itertools import groupby

import tomli_w

from aliases.models import AliasBinding, names_in
from core import json_writer
from core.ids import EPOCH
from usage.models import DEFAULT_PROFILE


def build(bindings: Iterable[AliasBinding], profile: str | None) -> dict:
    """Return the lockfile of the bindings, which are all of `profile` or of every profile.

    Several models, separated by commas, become an ordered list. The times are
    those of the bindings, so the same aliases give the same document.
    """
    rows = sorted(bindings, key=lambda row: (row.profile, row.alias))
    by_profile = {name: [*each] for name, each in groupby(rows, key=lambda row: row.profile)}
    names = sorted({profile or DEFAULT_PROFILE, *by_profile})
    return {
        "version": "1.0",
        "created_at": min((row.created_at for row in rows), default=EPOCH).isoformat(),
        "updated_at": max((row.updated_at for row in rows), default=EPOCH).isoformat(),
        "default_profile": profile or DEFAULT_PROFILE,
        "metadata": {"source": "llmring-server"},
        "profiles": {
            name: {
                "name": name,
                "bindings": [_binding(row) for row in by_profile.get(name, ())],
                "registry_versions": {},
            }
            for name in names
        },
    }


def _binding(row: AliasBinding) -> dict:
    binding = {"alias": row.alias, "models": names_in(row.model)}
    constraints = row.metadata.get("constraints") if isinstance(row.metadata, dict) else None
    return {**binding, "constraints": constraints} if isinstance(constraints, dict) else binding


def as_json(lockfile: dict) -> bytes:
    """Return the lockfile as JSON."""
    return json_writer.dumps(lockfile)


def as_toml(lockfile: dict) -> bytes:
    """Return the lockfile as TOML, which has no null: members without a value are left out."""
    return tomli_w.dumps(_without_nulls(lockfile)).encode()


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in value if inner is not None]
    return value


# Content type, file name and serializer of each format.
FORMATS = {
    "json": ("application/json", "llmring.lock.json", as_json),
    "toml": ("application/toml", "llmring.lock", as_toml),
}
