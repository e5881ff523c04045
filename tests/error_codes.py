"""The codes of errors that docs/gateway.md lists."""

import re
from functools import cache
from pathlib import Path

_PAGE = (Path(__file__).resolve().parents[1] / "docs" / "gateway.md").read_text()


@cache
def listed(section: str) -> dict[str, set[str]]:
    """Return the statuses of each code in the table of a section."""
    _, _, text = _PAGE.partition(f"\n{section}\n")
    _, _, table = text.partition("\n| status | code |\n|---|---|\n")
    codes: dict[str, set[str]] = {}
    for row in table.partition("\n\n")[0].splitlines():
        _, statuses, texts, _ = row.split("|")
        for code in re.findall(r"`([a-z_]+)`", texts):
            codes.setdefault(code, set()).update(re.findall(r"\d+", statuses))
    return codes
