"""Events of the audit log about custom prices: what a price was, and what it is now."""

from typing import Any

from accounts import audit
from registry_proxy.models import CustomPrice


def record(origin: audit.Origin, verb: str, price: CustomPrice, before: CustomPrice | None) -> None:
    """Record what was done to a price, in the transaction of the change."""
    old = _members(before) if before else {}
    new = {} if verb == "delete" else _members(price)
    changed = [name for name in old | new if old.get(name) != new.get(name)]
    audit.record(
        f"price.{verb}",
        origin,
        project_id=price.project_id,
        price_id=price.pk,
        provider=price.provider,
        model=price.model,
        old={name: old[name] for name in changed if name in old},
        new={name: new[name] for name in changed if name in new},
    )


def _members(price: CustomPrice) -> dict[str, Any]:
    """Return the price's members that are set, as JSON values."""
    members = {
        "modifier": price.modifier,
        "prices": price.prices,
        "factor": None if price.factor is None else str(price.factor),
        "priced_as": price.priced_as,
        "valid_from": price.valid_from.isoformat(),
        "valid_to": price.valid_to and price.valid_to.isoformat(),
        "note": price.note,
    }
    return {name: value for name, value in members.items() if value or name == "prices"}
