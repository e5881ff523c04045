"""Calls of a provider's own tools that cost something beside the tokens."""

from decimal import Decimal

from usage.reports.members import Members
from usage.reports.reported_usage import as_units

_MISTRAL = {
    "web_search": "web_searches",
    "web_search_premium": "premium_web_searches",
    "code_interpreter": "code_executions",
    "image_generation": "generated_images",
}
_XAI = {
    "web_search_calls": "web_searches",
    "x_search_calls": "x_searches",
    "code_interpreter_calls": "code_executions",
    "file_search_calls": "file_searches",
    "document_search_calls": "document_searches",
    "image_generation_calls": "generated_images",
}
# The unit that each member of these objects counts.
_TOOLS = {"connectors": _MISTRAL, "server_side_tool_usage_details": _XAI}


def read_tool_calls(usage: Members) -> dict[str, Decimal]:
    """Return the calls as units, where a usage object has them in one of its own."""
    units: dict[str, Decimal] = {}
    for member, tools in _TOOLS.items():
        if usage.is_object(member):
            calls = usage.part(member)
            units |= as_units(**{unit: calls.count(name) for name, unit in tools.items()})
    return units
