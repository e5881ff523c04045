"""The document of a batch receipt, from the sums over its logs to what is signed.

No database but for the registry's prices. Source: docs/receipt-format.md, "Batch receipts".
"""

import json
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from core.errors import DomainError
from core.json_writer import plain
from receipts import calculations
from receipts.documents import MAX_INTEGER
from registry_proxy.tokens import Tokens
from usage.models import DEFAULT_PROFILE
from usage.reports.reported_usage import Usage

# Up to this many logs are listed by id; more are identified by range and digest alone.
MAX_LISTED_LOGS = 1_000
EMPTY_PREVIEW = {
    "total_logs": 0,
    "total_cost": 0.0,
    "total_tokens": 0,
    "message": "No logs found matching the criteria",
}
# By these a model's cost is split; those of its reversals are there too, as `reversed_calls` etc.
SPLIT_SUMS = ("calls", "input_tokens", "output_tokens", "cached_input_tokens", "cost")
_PREVIEWED = (
    "total_conversations",
    "total_tokens",
    "total_cost",
    "total_cost_exact",
    "unpriced_calls",
    "unknown_calls",
    "start_date",
    "end_date",
    "by_model",
    "by_alias",
)


class TotalTooLarge(DomainError):
    code = "total_too_large"

    def __init__(self) -> None:
        super().__init__("The totals are beyond 2^53-1, more than a receipt can state")


class Sums(NamedTuple):
    """The sums over the chosen logs, numbers exact."""

    total: dict
    first: dict
    models: list[dict]
    aliases: list[dict]
    log_ids: list[str]
    conversation_ids: list[str]

    @classmethod
    def parse(cls, text: str) -> "Sums":
        """Return the sums that batch.py's statement writes as JSON; fractions become Decimals."""
        return cls(**json.loads(text, parse_float=Decimal))


def document(
    sums: Sums,
    *,
    receipt_id: str,
    timestamp: str,
    description: str | None,
    tags: list[str] | None,
) -> dict:
    """Return the unsigned document.

    Costs are JSON numbers; the exact total stands beside them as text. Raises TotalTooLarge.
    """
    logs, cost = sums.total["logs"], Decimal(sums.total["cost"])
    summary = _summary(sums)
    input_cost = _input_cost(sums.models)
    return {
        "receipt_id": receipt_id,
        "timestamp": timestamp,
        "alias": sums.first["alias"],
        "profile": DEFAULT_PROFILE,
        "lock_digest": "",
        "provider": sums.first["provider"],
        "model": sums.first["model"] if logs == 1 else f"batch:{sums.total['calls']} calls",
        "prompt_tokens": _count(sums.total["input_tokens"]),
        "completion_tokens": _count(sums.total["output_tokens"]),
        "total_tokens": _tokens(sums.total),
        "input_cost": _number(input_cost),
        "output_cost": _number(cost - input_cost),
        "total_cost": _number(cost),
        "receipt_type": _receipt_type(logs),
        "batch_summary": summary,
        "description": description,
        "tags": tags or [],
    }


def preview(sums: Sums) -> dict:
    """Return what the receipt would state, without making it. Raises TotalTooLarge."""
    summary, logs = _summary(sums), sums.total["logs"]
    return {
        "total_logs": logs,
        "receipt_type": _receipt_type(logs),
        **{name: summary[name] for name in _PREVIEWED},
    }


def _receipt_type(logs: int) -> str:
    return "single" if logs == 1 else "batch"


def _summary(sums: Sums) -> dict:
    total = sums.total
    return {
        "total_conversations": total["conversations"],
        "total_calls": total["calls"],
        "total_tokens": _tokens(total),
        "total_cost": _number(total["cost"]),
        "total_cost_exact": plain(Decimal(total["cost"])),
        "unpriced_calls": total["unpriced"],
        "unknown_calls": total["unknown"],
        "start_date": _time(total["first_at"]),
        "end_date": _time(total["last_at"]),
        "by_model": _by_name(sums.models),
        "by_alias": _by_name(sums.aliases),
        "conversation_ids": sums.conversation_ids,
        "log_ids": sums.log_ids,
        "logs": {
            "count": total["logs"],
            "first_id": total["first_id"],
            "last_id": total["last_id"],
            "digest": f"sha256:{total['digest']}",
            "listed": total["logs"] <= MAX_LISTED_LOGS,
        },
    }


def _by_name(groups: list[dict]) -> dict:
    """Return sums by name; a model that several providers have is one name."""
    sums: dict[str, dict] = {}
    for group in sorted(groups, key=lambda group: (-group["calls"], group["name"])):
        named = sums.setdefault(group["name"], {"calls": 0, "cost": Decimal(0), "tokens": 0})
        named["calls"] += group["calls"]
        named["cost"] += group["cost"]
        named["tokens"] += _tokens(group)
    return {
        name: {**named, "cost": _number(named["cost"]), "tokens": _count(named["tokens"])}
        for name, named in sums.items()
    }


def _input_cost(models: list[dict]) -> Decimal:
    """Return the part of the cost that inputs made, by the price of each model's average call.

    Reversals are split apart, like the calls that they take back: those and they cancel.
    """
    cost = Decimal(0)
    for group in models:
        reversed = {name: -group[f"reversed_{name}"] for name in SPLIT_SUMS}
        added = {name: group[name] + reversed[name] for name in SPLIT_SUMS}
        cost += _input_part(group, added) - _input_part(group, reversed)
    return cost


def _input_part(group: dict, sums: dict) -> Decimal:
    """Return the inputs' part of the cost of calls of one model, none of them a reversal."""
    if not sums["calls"]:
        return Decimal(0)
    input, output, cached = (
        round(sums[name] / sums["calls"])
        for name in ("input_tokens", "output_tokens", "cached_input_tokens")
    )
    cached = min(cached, input)
    tokens = Tokens(input=input - cached, cache_read=cached, output=output)
    usage = Usage(tokens, "sums")
    return calculations.input_cost(sums["cost"], group["provider"], group["name"], usage)


def _time(text: str) -> str:
    """Return the time as the older server wrote it, with all digits of the fraction."""
    return datetime.fromisoformat(text).isoformat()


def _tokens(group: dict) -> int:
    return _count(group["input_tokens"] + group["output_tokens"])


def _count(value: int) -> int:
    if abs(value) > MAX_INTEGER:
        raise TotalTooLarge
    return int(value)


def _number(value: Decimal | int) -> float:
    """Return the JSON number of an amount: the nearest double."""
    if abs(value) > MAX_INTEGER:
        raise TotalTooLarge
    return float(value)
