"""The usage object of Cohere's APIs.

`billed_units` is what costs; `tokens` beside it also counts what Cohere adds to
the prompt, which is free.
Source: https://docs.cohere.com/reference/chat
"""

from registry_proxy.tokens import Tokens
from usage.reports.members import Members
from usage.reports.reported_usage import Usage, as_units

OWN_MEMBERS = ("billed_units", "billedUnits")  # the latter: its SDK for TypeScript


def read_billed_units(usage: Members) -> Usage:
    """Read what Cohere bills; embeddings have no output, reranking only searches."""
    billed = usage.part(*OWN_MEMBERS)
    tokens = Tokens(
        input=billed.count("input_tokens", "inputTokens"),
        image_input=billed.count("image_tokens", "imageTokens"),
        output=billed.count("output_tokens", "outputTokens"),
    )
    units = as_units(
        search_units=billed.amount("search_units", "searchUnits"),
        classifications=billed.amount("classifications"),
        images=billed.amount("images"),
    )
    return Usage(tokens, "cohere", units)
