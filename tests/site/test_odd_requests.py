"""No route that keys open fails, whatever is sent to it about rows that exist."""

import pytest

from tests import odd_requests, openapi


def is_for_keys(path: str, operation: dict) -> bool:
    return openapi.is_for_keys(operation) and not path.startswith(("/registry/", "/manage/"))


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path", "operation"), odd_requests.operations(is_for_keys))
def test_no_route_fails(ours, api, method, path, operation):
    odd_requests.check(api, method, path, operation, ours)
