"""The counts in a native response of llama.cpp's server, which has no object for them.

Source: https://github.com/ggml-org/llama.cpp, tools/server/README.md, `POST /completion`
"""

from registry_proxy.tokens import Tokens
from usage.reports.members import Members
from usage.reports.reported_usage import Usage

OWN_MEMBERS = ("tokens_evaluated", "tokens_predicted")


def read_response(usage: Members) -> Usage:
    """Read the counts of a response. Its prompt contains what was cached, without a count."""
    tokens = Tokens(input=usage.count("tokens_evaluated"), output=usage.count("tokens_predicted"))
    return Usage(tokens, "llama_cpp")
