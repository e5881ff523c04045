"""No route that keys open fails, whatever is sent to it about rows that exist."""

import re

import pytest

from tests import odd_requests, openapi


def is_for_keys(path: str, operation: dict) -> bool:
    return openapi.is_for_keys(operation) and not path.startswith(("/registry/", "/manage/"))


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path", "operation"), odd_requests.operations(is_for_keys))
def test_no_route_fails(ours, api, method, path, operation):
    odd_requests.check(api, method, path, operation, ours)


def test_long_number_is_no_body(ours, api):
    """It is read with all of its digits, as an object of Python, and made keys and templates."""
    tried = 0
    for path, methods in openapi.document()["paths"].items():
        for method, operation in methods.items():
            if not is_for_keys(path, operation) or not openapi.examples(operation):
                continue
            if path == "/mcp":
                continue  # its errors are those of JSON-RPC
            filled = re.sub(r"{(\w+)}", lambda parameter: str(ours[parameter[1]]), path)
            replies = [
                api.generic(method.upper(), filled, number, content_type="application/json")
                for number in ("0.5", "1234567890.12345678901")
            ]
            short, long = ([error["type"] for error in reply.json()["detail"]] for reply in replies)
            assert long == short or long == ["json_invalid"], path  # of receipts, no such number
            tried += 1
    assert tried > 20
