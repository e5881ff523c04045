"""Reports as the schema hands them to the reading: every member there, unsaid ones null."""

from types import SimpleNamespace

from usage.reports.flat_members import CLASS_OF

_UNSAID = dict.fromkeys(
    [
        "usage",
        "input_tokens",
        "output_tokens",
        "input_includes_cache",
        "output_includes_thinking",
        "units",
        "modifiers",
        "service_tier",
        "usage_status",
        "cost",
        *CLASS_OF,
    ]
)


def report(**members):
    return SimpleNamespace(**{**_UNSAID, "metadata": {}, **members})
