"""What differs between two recordings of the tests' exchanges.

    RECORD=/tmp/before uv run pytest          # at one commit
    RECORD=/tmp/after uv run pytest           # at another
    uv run python -m tests.exchanges /tmp/before /tmp/after

Ids, times, keys, ETags, lengths and signatures are masked; exchanges of one test
are compared as a set, because some tests send theirs from several threads.
"""

import json
import re
import sys
from collections import Counter, defaultdict
from difflib import unified_diff
from pathlib import Path

_MASKED = {
    r"(/[\w.-]+)+/(?=\.venv/|\.pytest_cache/|tests/)": "<checkout>/",
    r"\\?\"(id|revision)\\?\": ?\d+": "<number>",
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}": "<id>",
    r"\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)?": "<time>",
    r"\d{4}-\d\d-\d\d": "<day>",
    r"\d{4}\.\d\d\.\d\d(\.\d+)?": "<snapshot>",
    r"llmr_pk_[0-9a-f]{32}": "<key>",
    r"Key [0-9a-f]{8}": "Key <digest>",
    r"ed25519:[\w-]{86}": "<signature>",
    r"rcpt_[0-9a-f]{16}": "<receipt>",
    r"\b[0-9a-f]{64}\b": "<sha256>",
    r"\b[0-9a-f]{32}\b": "<etag>",
    r"(127\.0\.0\.1|localhost|\[::1\]):\d{4,5}": "<peer>",
    r"(duration_ms|latency_ms|expires_in)\\?\": ?[\d.]+": "<duration>",
    r"csrfmiddlewaretoken[^>]*": "<csrf>",
}
_VARYING_HEADERS = {
    "x-request-id",
    "content-length",
    "set-cookie",
    "date",
    "expires",
    "etag",
    "last-modified",
}


def read(path: str) -> dict[str, Counter]:
    """The masked exchanges of a recording, by test."""
    exchanges: dict[str, Counter] = defaultdict(Counter)
    for line in Path(path).read_text().splitlines():
        exchange = json.loads(line)
        test = exchange.pop("test").split("::", 1)[-1]
        exchange["headers"] = {name.lower(): value for name, value in exchange["headers"].items()}
        for name in _VARYING_HEADERS & exchange["headers"].keys():
            exchange["headers"][name] = "<varies>"
        exchanges[test][masked(json.dumps(exchange, sort_keys=True))] += 1
    return exchanges


def masked(text: str) -> str:
    for pattern, name in _MASKED.items():
        text = re.sub(pattern, name, text)
    return text


def differences(before: dict[str, Counter], after: dict[str, Counter]) -> list[str]:
    """The lines of a diff, test by test, of the tests that both recordings have."""
    lines = []
    for test in sorted(before.keys() & after.keys()):
        if before[test] != after[test]:
            old, new = (sorted(side[test].elements()) for side in (before, after))
            lines += [test, *unified_diff(old, new, lineterm="", n=0)]
    return lines


if __name__ == "__main__":
    before, after = map(read, sys.argv[1:3])
    for missing in sorted(before.keys() ^ after.keys()):
        print("only in one recording:", missing)
    print(*differences(before, after), sep="\n")
    print(f"{sum(map(Counter.total, before.values()))} exchanges before,", end=" ")
    print(f"{sum(map(Counter.total, after.values()))} after")
