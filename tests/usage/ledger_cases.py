"""The table of cases, one line of ledger_cases.jsonl each.

`report` is what is sent, `tokens` the classes that are not 0 (null: unknown), `cost`
and `source` what the ledger holds, `arithmetic` how the cost was made by hand from
the registry's dollars per million, `cite` who says so. `error` is a refusal.
"""

import json
from pathlib import Path

_CASES = [
    json.loads(line) for line in Path(__file__).with_suffix(".jsonl").read_text().splitlines()
]


def read() -> list[dict]:
    return [case for case in _CASES if "error" not in case]


def refused() -> list[dict]:
    return [case for case in _CASES if "error" in case]


def name(case: dict) -> str:
    return case["case"]
