"""The cost of limits: `POST /log` of a project with a tier and of one without, in turns.

Both are projects of the same server. The tier's limits are beyond the load, so that every
request is counted and none refused.
"""

import tempfile
from argparse import ArgumentParser
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from bench.load import run_wrk
from bench.ours import our_server
from bench.payloads import COSTED_LOG
from bench.registry import served_registry
from bench.request import READER_KEY, WRITER_KEY, post

SIDES = {"without a tier": WRITER_KEY, "with a tier": READER_KEY}
CONNECTIONS = (1, 16, 64)
_CREATE_TIER = """
    INSERT INTO llmring.tiers (id, name, requests_per_minute, logs_per_month)
    VALUES (gen_random_uuid(), 'measured', 1000000, 1000000000)
"""
_ASSIGN_TIER = """
    UPDATE llmring.projects SET tier_id = (
        SELECT id FROM llmring.tiers WHERE name = 'measured')
    WHERE id = (SELECT project_id FROM llmring.api_keys WHERE digest = sha256(%s))
"""


def main() -> None:
    parser = ArgumentParser(prog="python -m bench.limits", description=__doc__)
    parser.add_argument("--seconds", type=int, default=2, help="length of one sample")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="llmring-bench-")))
        scratch.chmod(0o711)
        registry = stack.enter_context(served_registry(None, scratch=scratch))
        server = stack.enter_context(our_server(registry_url=registry, scratch=scratch))
        requests = {
            name: post("/api/v1/log", COSTED_LOG, api_key=key) for name, key in SIDES.items()
        }
        for request in requests.values():
            server.call(request)
        server.postgres.connection.execute(_CREATE_TIER)
        server.postgres.connection.execute(_ASSIGN_TIER, [READER_KEY.encode()])
        for connections in CONNECTIONS:
            rates: dict[str, list[float]] = {name: [] for name in requests}
            for _ in range(options.rounds):
                for name, request in requests.items():
                    load = run_wrk(
                        request, url=server.url, connections=connections, seconds=options.seconds
                    )
                    assert not load.refused and not load.broken, load
                    rates[name].append(load.answered / load.seconds)
            without, with_tier = (median(rates[name]) for name in SIDES)
            ratios = sorted(b / a for a, b in zip(*rates.values(), strict=True))
            print(
                f"{connections:3} connections: {without:6.0f} req/s without a tier, "
                f"{with_tier:6.0f} with one, ratio {with_tier / without:.2f} "
                f"(rounds {ratios[0]:.2f} to {ratios[-1]:.2f})"
            )


if __name__ == "__main__":
    main()
