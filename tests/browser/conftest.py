"""A server of its own for each file of tests, and a browser.

A test fails if a page wrote an error to the console that the test did not ask for, or sent
a request to another host.
"""

import pytest

from tests.browser.browser import FOREIGN_HOST, SCREENSHOTS, Browser, chromium
from tests.server import Server, open_to_postgresql


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/browser/" in item.nodeid:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="module")
def server(first_start, tmp_path_factory):
    folder = open_to_postgresql(tmp_path_factory.mktemp("server"))
    with Server(first_start.copy(folder / "data"), LLMRING_WORKERS="1") as server:
        yield server


@pytest.fixture(scope="module")
def _driver(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def browser(server, _driver, request):
    yield from _visit(_driver, server.url, request)


@pytest.fixture
def foreign_browser(server, _driver, request):
    """The server by a name, over http: what browsers offer to secure pages alone is missing."""
    yield from _visit(_driver, f"http://{FOREIGN_HOST}:{server.port}", request)


def _visit(driver, url: str, request):
    browser = Browser(driver, url, SCREENSHOTS / request.module.__name__.split(".")[-1])
    browser.reset()
    yield browser
    assert browser.console_errors() == []
    assert browser.foreign_requests() == []
