"""The usage of a call as columns of the ledger, both ways.

`input_tokens` and `output_tokens` contain the classes that have columns of their own;
what is left of them is fresh text of the prompt, and text without thinking.
Source: docs/http-contract/usage.md, section "Token classes".
"""

from decimal import Decimal
from operator import attrgetter
from typing import Any

from registry_proxy.tokens import Tokens
from usage.columns import INPUT_CLASSES, OUTPUT_CLASSES
from usage.models import UsageLog
from usage.reports.reported_usage import Usage, UsageStatus

_COLUMN_OF = {"cache_read": "cached_input_tokens"} | {
    column.removesuffix("_tokens"): column
    for column in (*INPUT_CLASSES, *OUTPUT_CLASSES)
    if column != "cached_input_tokens"
}
_class_counts = attrgetter(*_COLUMN_OF)


def usage_columns(usage: Usage) -> dict[str, Any]:
    """Return the columns that say what a call used, without those that are empty."""
    columns: dict[str, Any] = {
        "usage_status": usage.status,
        "read_as": usage.read_as,
        "cached_input_tokens": 0,
    }
    if usage.units or usage.modifiers:
        extras = {"units": usage.units, "modifiers": usage.modifiers}
        columns["units_and_modifiers"] = {name: value for name, value in extras.items() if value}
    tokens = usage.tokens
    if tokens is None:
        return columns
    columns["input_tokens"], columns["output_tokens"] = tokens.prompt, tokens.completion
    counts = _class_counts(tokens)
    if any(counts):
        by_column = zip(_COLUMN_OF.values(), counts, strict=True)
        columns |= {column: count for column, count in by_column if count}
    return columns


def usage_of(log: UsageLog) -> Usage:
    """Return what a stored call used, without its cost."""
    extras = log.units_and_modifiers or {}
    return Usage(
        _tokens_of(log),
        log.read_as,
        units={name: Decimal(str(count)) for name, count in extras.get("units", {}).items()},
        modifiers=extras.get("modifiers", {}),
        status=UsageStatus(log.usage_status),
    )


def _tokens_of(log: UsageLog) -> Tokens | None:
    if log.input_tokens is None:
        return None
    classes = {name: getattr(log, column) or 0 for name, column in _COLUMN_OF.items()}
    return Tokens(
        input=log.input_tokens - sum(getattr(log, column) or 0 for column in INPUT_CLASSES),
        output=log.output_tokens - sum(getattr(log, column) or 0 for column in OUTPUT_CLASSES),
        **classes,
    )
