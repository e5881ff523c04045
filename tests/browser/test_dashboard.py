"""The dashboard in a browser: its bars lead to the logs they sum, on any screen, with any theme."""

import subprocess
import sys
from urllib.parse import urlsplit

import pytest


@pytest.fixture(scope="module")
def demo(server):
    """The address of the dashboard of the demo project, made by its command."""
    command = [sys.executable, "-m", "llmring_site.cli", "manage", "demo"]
    made = subprocess.run(command, env=server.environment, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return made.stdout.split("8000")[-1].strip() if False else urlsplit(made.stdout.split()[-1])


def test_screens(browser, demo):
    browser.log_in()
    browser.open(f"{demo.path}?{demo.query}")
    for name, size in (("desktop", (1280, 2600)), ("phone", (360, 4200))):
        browser.resize(size)
        browser.screenshot(name)
        assert not browser.scrolls_sideways(), name
