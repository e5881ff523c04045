"""The document of a batch receipt, from sums to what is signed.

Pure but for the registry's prices. Source: docs/receipt-format.md, "Batch receipts".
"""

import json
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from core.errors import DomainError
from core.media import plain
from receipts import pricing
from receipts.canonical import LARGEST_INTEGER

# Up to so many logs are listed by id; more are named by range and digest alone.
MOST_LISTED = 1_000
EMPTY_PREVIEW = {
    "total_logs": 0,
    "total_cost": 0.0,
    "total_tokens": 0,
    "message": "No logs found matching the criteria",
}


class TotalTooLarge(DomainError):
    code = "total_too_large"

    def __init__(self) -> None:
        super().__init__("The totals are beyond 2^53-1, more than a receipt can state")


class Sums(NamedTuple):
    """What the database found, numbers exact: `total`, `first`, and lists of groups and ids."""

    total: dict
    first: dict
    models: list[dict]
    aliases: list[dict]
    log_ids: list[str]
    conversation_ids: list[str]


def read_sums(text: str) -> Sums:
    """The sums from their JSON; fractions become Decimals."""
    return Sums(**json.loads(text, parse_float=Decimal))


def document(
    sums: Sums,
    *,
    receipt_id: str,
    timestamp: str,
    description: str | None,
    tags: list[str] | None,
) -> dict:
    """The unsigned document. Costs are JSON numbers; the exact total stands beside them as text.

    Raises TotalTooLarge.
    """
    calls, cost = sums.total["calls"], Decimal(sums.total["cost"])
    single = calls == 1
    summary = _summary(sums)
    input_cost = _input_cost(sums.models, cost)
    return {
        "receipt_id": receipt_id,
        "timestamp": timestamp,
        "alias": sums.first["alias"],
        "profile": "default",
        "lock_digest": "",
        "provider": sums.first["provider"],
        "model": sums.first["model"] if single else f"batch:{calls} calls",
        "prompt_tokens": _count(sums.total["input_tokens"]),
        "completion_tokens": _count(sums.total["output_tokens"]),
        "total_tokens": _tokens(sums.total),
        "input_cost": _number(input_cost),
        "output_cost": _number(cost - input_cost),
        "total_cost": _number(cost),
        "receipt_type": "single" if single else "batch",
        "batch_summary": summary,
        "description": description,
        "tags": tags or [],
    }


def preview(sums: Sums) -> dict:
    """What the receipt would say, without making it. Raises TotalTooLarge."""
    summary = _summary(sums)
    return {
        "total_logs": sums.total["calls"],
        "receipt_type": "single" if sums.total["calls"] == 1 else "batch",
        **{
            name: summary[name]
            for name in (
                "total_conversations",
                "total_tokens",
                "total_cost",
                "total_cost_exact",
                "unpriced_calls",
                "start_date",
                "end_date",
                "by_model",
                "by_alias",
            )
        },
    }


def _summary(sums: Sums) -> dict:
    total = sums.total
    return {
        "total_conversations": total["conversations"],
        "total_calls": total["calls"],
        "total_tokens": _tokens(total),
        "total_cost": _number(total["cost"]),
        "total_cost_exact": plain(Decimal(total["cost"])),
        "unpriced_calls": total["unpriced"],
        "start_date": _time(total["first_at"]),
        "end_date": _time(total["last_at"]),
        "by_model": _by_name(sums.models),
        "by_alias": _by_name(sums.aliases),
        "conversation_ids": sums.conversation_ids,
        "log_ids": sums.log_ids,
        "logs": {
            "count": total["calls"],
            "first_id": total["first_id"],
            "last_id": total["last_id"],
            "digest": f"sha256:{total['digest']}",
            "listed": total["calls"] <= MOST_LISTED,
        },
    }


def _by_name(groups: list[dict]) -> dict:
    """Sums by name; a model that several providers have is one name."""
    joined: dict[str, dict] = {}
    for group in sorted(groups, key=lambda group: (-group["calls"], group["name"])):
        found = joined.setdefault(group["name"], {"calls": 0, "cost": Decimal(0), "tokens": 0})
        found["calls"] += group["calls"]
        found["cost"] += group["cost"]
        found["tokens"] += _tokens(group)
    return {
        name: {**found, "cost": _number(found["cost"]), "tokens": _count(found["tokens"])}
        for name, found in joined.items()
    }


def _input_cost(models: list[dict], total: Decimal) -> Decimal:
    """The prompts' part of the cost, split by the price of each model's average call."""
    found = Decimal(0)
    for group in models:
        average = [
            round(group[name] / group["calls"])
            for name in ("input_tokens", "output_tokens", "cached")
        ]
        found += pricing.prompt_part(group["cost"], group["provider"], group["name"], *average)
    return min(found, total)


def _time(text: str) -> str:
    """As the older server spelt it; PostgreSQL leaves out trailing zeros of the fraction."""
    return datetime.fromisoformat(text).isoformat()


def _tokens(group: dict) -> int:
    return _count(group["input_tokens"] + group["output_tokens"])


def _count(value: int) -> int:
    if value > LARGEST_INTEGER:
        raise TotalTooLarge
    return int(value)


def _number(value: Decimal | int) -> float:
    """The JSON number of an amount: the double next to it."""
    if value > LARGEST_INTEGER:
        raise TotalTooLarge
    return float(value)
