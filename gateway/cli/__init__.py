"""The commands of `llm-proxy` that are clients of a server: `manage …` and `openai chat`.

Exit status: 0; 1 when the server refuses or cannot be reached; 2 for a wrong command line.
Source: docs/gateway.md, section "Command line".
"""

import sys
from collections.abc import Sequence

from gateway.cli.arguments import parser
from gateway.cli.client import Refused


def main(arguments: Sequence[str]) -> int:
    """Run a command; return its exit status. A wrong command line raises SystemExit(2)."""
    options = parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except Refused as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # of `llm-proxy … | head`
        sys.stderr.close()
        return 1
