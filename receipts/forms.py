"""The two forms of a receipt, and the parts of each that everybody reads.

    nested   `id`, `tokens` {input, output, cached_input}, `cost` {amount, calculation}, `key_id`
    flat     `receipt_id`, `prompt_tokens`, … , `total_cost`; batch receipts add a summary

Source: docs/receipt-format.md, "The two forms".
"""

NESTED, FLAT = "nested", "flat"
# All that the older server signed of a flat receipt.
BASE_FIELDS = frozenset(
    {
        "receipt_id",
        "timestamp",
        "alias",
        "profile",
        "lock_digest",
        "provider",
        "model",
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "input_cost",
        "output_cost",
        "total_cost",
    }
)
BATCH_FIELDS = frozenset({"receipt_type", "batch_summary", "description", "tags"})
_ONLY_FLAT = (BASE_FIELDS | BATCH_FIELDS) - {
    "timestamp",
    "alias",
    "profile",
    "lock_digest",
    "provider",
    "model",
}
# Plain usage details, as a caller without a form of its own states them.
_USAGE_DETAILS = {"input_tokens", "output_tokens", "tokens", "cost", "id"}


def form_of(document: dict) -> str:
    """NESTED or FLAT; what has the marks of neither counts as flat."""
    if (
        "id" in document
        and isinstance(document.get("tokens"), dict)
        and isinstance(document.get("cost"), dict)
    ):
        return NESTED
    if document.keys() & _ONLY_FLAT:
        return FLAT
    return NESTED if document.keys() & _USAGE_DETAILS else FLAT


def id_of(document: dict) -> object:
    """The receipt's id, as it stands there; None without one."""
    return document.get("id" if form_of(document) == NESTED else "receipt_id")
