"""What a call reserves, seen through budgets that just cover it, or just do not."""

import json
from decimal import Decimal

_LEAST = Decimal("0.000000000001")


def size(sent: dict) -> int:
    """Bytes of a body as requests writes it."""
    return len(json.dumps(sent))


def assert_bound(gateway, path: str, sent: dict, bound: Decimal) -> None:
    """Make the call twice: refused just below the bound, admitted at it."""
    refused = gateway.use(budget_usd=bound - _LEAST).post(path, sent)
    admitted = gateway.use(budget_usd=bound).post(path, sent)

    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "budget_exceeded")
    assert admitted.status_code == 200


def assert_unbounded(gateway, path: str, sent: dict) -> None:
    refused = gateway.use(budget_usd=1_000_000).post(path, sent)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "cost_unbounded")
