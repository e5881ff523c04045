"""The differences between two states of the registry.

Source: docs/http-contract.md, section "Registry".
"""

from collections.abc import Iterator, Mapping

from registry_proxy.prices import PRICE_PREFIX


def diff(before: Mapping[str, Mapping], after: Mapping[str, Mapping]) -> list[dict]:
    """Return an entry for each model added or removed and for each member that changed.

    `change_type` is `added`, `removed`, `price_changed`, `deactivated`, `activated`
    or `field_changed`. Ordered by model, then by member.
    """
    entries = []
    for model in sorted(before.keys() | after.keys()):
        if model not in before:
            entries.append(_entry("added", model, notes=after[model].get("display_name")))
        elif model not in after:
            entries.append(_entry("removed", model, notes=before[model].get("display_name")))
        else:
            entries.extend(_changed_members(model, before[model], after[model]))
    return entries


def _changed_members(model: str, before: Mapping, after: Mapping) -> Iterator[dict]:
    for field in sorted(before.keys() | after.keys()):
        # Upstream leaves out what it does not know as often as it says null.
        old, new = before.get(field), after.get(field)
        if old != new:
            yield _entry(_change_type(field, new), model, field, old, new)


def _change_type(field: str, new: object) -> str:
    if field.startswith(PRICE_PREFIX):
        return "price_changed"
    if field == "is_active":
        return "deactivated" if new is False else "activated"
    return "field_changed"


def _entry(
    change_type: str,
    model: str,
    field: str | None = None,
    old_value: object = None,
    new_value: object = None,
    notes: object = None,
) -> dict:
    return {
        "change_type": change_type,
        "model": model,
        "field": field,
        "old_value": old_value,
        "new_value": new_value,
        "notes": notes,
    }
