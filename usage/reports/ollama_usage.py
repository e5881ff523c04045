"""The counts in a response of Ollama, which has no object for them."""

from registry_proxy.tokens import Tokens
from usage.reports.members import Members
from usage.reports.reported_usage import Usage

OWN_MEMBERS = ("prompt_eval_count", "eval_count")


def read_response(usage: Members) -> Usage:
    """Read the counts of a response; a prompt that was cached as a whole is left out."""
    tokens = Tokens(input=usage.count("prompt_eval_count"), output=usage.count("eval_count"))
    return Usage(tokens, "ollama")
