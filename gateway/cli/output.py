"""What the commands print: JSON, lines of `Name: value`, or a table."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from core.terminals import printable


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_members(row: Mapping[str, Any], columns: Mapping[str, str]) -> None:
    """Print the members that `columns` names, each after its title."""
    width = max(map(len, columns.values())) + 1
    for name, title in columns.items():
        print(f"{title + ':':{width}} {_cell(row.get(name))}")


def print_table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> None:
    """Print a table with a line of titles, as wide as its longest cells."""
    table = [[*columns.values()], *([_cell(row.get(name)) for name in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())


def _cell(value: Any) -> str:
    match value:
        case None | "" | []:
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return format(Decimal(str(value)), "f")  # amounts without exponents
        case list():
            return ", ".join(map(str, value))
        case dict():
            return ", ".join(f"{name} {_cell(inner)}" for name, inner in value.items()) or "-"
    return printable(value)
