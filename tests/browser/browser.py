"""Headless Chromium, as a person at a real server uses it."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.ui import WebDriverWait

from tests.environment import DATA_DIR
from tests.first_start import PASSWORD

AXE = files("axe_playwright_python") / "axe.min.js"
SCREENSHOTS = DATA_DIR.with_name("screenshots")
DESKTOP, PHONE = (1280, 900), (360, 740)
# A name that only this browser resolves: over http its pages are no secure context.
FOREIGN_HOST = "llmring.test"
WAIT_SECONDS = 20
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
    # Whatever a page asks of another host fails here, and shows in `foreign_requests`.
    f"--host-resolver-rules=MAP {FOREIGN_HOST} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
# Said of each page over http: Chromium heeds the header on secure origins alone.
_IGNORED_HEADER = "The Cross-Origin-Opener-Policy header has been ignored"
_LOCAL_SCHEMES = ("data", "blob", "about", "chrome", "chrome-extension", "devtools")


def _installed(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.fail(
            f"{name} is not installed: `apt-get install chromium chromium-driver`, "
            "or leave these tests out with `-m 'not browser'`",
            pytrace=False,
        )
    return path


@contextmanager
def chromium(profile: Path) -> Iterator[Chrome]:
    """Run Chromium with this new folder as its profile."""
    options = ChromeOptions()
    options.binary_location = _installed("chromium")
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # Named, so that selenium looks for no driver on the network. Only what a browser
    # needs is handed on: selenium's own variables could name a driver elsewhere.
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    service = ChromeService(
        _installed("chromedriver"), env=environment, log_output=subprocess.DEVNULL
    )
    driver = Chrome(options=options, service=service)
    try:
        yield driver
    finally:
        driver.quit()


class Browser:
    """One person's browser at the server `url`; `folder` is where its screenshots go."""

    def __init__(self, driver: Chrome, url: str, folder: Path) -> None:
        self.driver, self.url, self.folder = driver, url, folder
        self._requests: list[str] = []

    def open(self, path: str) -> None:
        """Open a path of the server."""
        self.driver.get(f"{self.url}{path}")

    @property
    def path(self) -> str:
        """The path and query of the page."""
        return self.driver.current_url.removeprefix(self.url)

    @property
    def text(self) -> str:
        """What can be read on the page."""
        return self.one("body").text

    def log_in(self, username: str = "admin", password: str = PASSWORD) -> None:
        """Log in to the admin, and be on the page that was asked for, else on its home."""
        if not self.driver.current_url.startswith(f"{self.url}/admin/login/"):
            self.open("/admin/login/?next=/admin/")
        self.one("[name=username]").send_keys(username)
        self.one("[name=password]").send_keys(password + Keys.ENTER)
        self.wait(lambda: "/admin/login/" not in self.driver.current_url)

    def follow(self, element: WebElement) -> None:
        """Click what leads to another page, and be there."""
        element.click()
        WebDriverWait(self.driver, WAIT_SECONDS).until(staleness_of(element))
        self.wait(lambda: self.run("return document.readyState") == "complete")

    def copy(self, id: str) -> str:
        """Press the button that copies the element of this id; what the page says then."""
        button = self.one(f"[data-copies={id}]")
        self.wait(button.is_displayed)  # by a script, which comes last
        button.click()
        status = self.one(f"[data-copies={id}] + [role=status]")
        self.wait(lambda: status.text)
        return status.text

    def wait(self, condition) -> None:
        """Wait until the condition, a function without arguments, holds.

        While the page is replaced, it does not.
        """
        waiting = WebDriverWait(
            self.driver, WAIT_SECONDS, ignored_exceptions=[StaleElementReferenceException]
        )
        waiting.until(lambda driver: condition())

    def one(self, selector: str) -> WebElement:
        """The first element of a CSS selector."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def link(self, text: str) -> WebElement:
        """The first link whose text contains this."""
        return self.driver.find_element(By.PARTIAL_LINK_TEXT, text)

    def run(self, script: str, *arguments):
        """What a line of JavaScript returns."""
        return self.driver.execute_script(script, *arguments)

    def console_errors(self) -> list[str]:
        """The errors of the console since this was last asked."""
        return [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if entry["level"] == "SEVERE" and _IGNORED_HEADER not in entry["message"]
        ]

    def requests(self) -> list[str]:
        """The address of every request so far, oldest first."""
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self._requests.append(message["params"]["request"]["url"])
        return self._requests

    def foreign_requests(self) -> list[str]:
        """The requests that went to another host than the server's."""
        own = urlsplit(self.url).netloc
        return [
            url
            for url in self.requests()
            if urlsplit(url).netloc != own and urlsplit(url).scheme not in _LOCAL_SCHEMES
        ]

    def resize(self, size: tuple[int, int]) -> None:
        """Give the page this width and height, also below what windows can have."""
        width, height = size
        metrics = {
            "width": width,
            "height": height,
            "deviceScaleFactor": 1,
            "mobile": width < 600,
        }
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def prefer(self, *, scheme: str) -> None:
        """Prefer `light` or `dark` pages, as a system's setting does."""
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)

    def set_timezone(self, name: str) -> None:
        self.driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": name})

    def screenshot(self, name: str) -> None:
        """Keep a picture of the page among the output of the tests."""
        self.folder.mkdir(parents=True, exist_ok=True)
        assert self.driver.save_screenshot(str(self.folder / f"{name}.png"))

    def scrolls_sideways(self) -> bool:
        return self.run(
            "const page = document.documentElement; return page.scrollWidth > page.clientWidth"
        )

    def violations(self) -> list[str]:
        """What axe finds critical or serious on the page: its rule, and where."""
        if not self.run("return 'axe' in window"):
            self.run(AXE.read_text())
        found = self.driver.execute_async_script(
            "const done = arguments[0]; axe.run().then(result => done(result.violations))"
        )
        return [
            f"{rule['id']}: {node['target']} {node.get('failureSummary', '')}"
            for rule in found
            if rule["impact"] in ("critical", "serious")
            for node in rule["nodes"]
        ]

    def transferred(self) -> dict[str, int]:
        """The bytes over the wire of each request since this or `requests` was last asked.

        What the browser had in its cache is not among them.
        """
        urls: dict[str, str] = {}
        cached: set[str] = set()
        sizes: dict[str, int] = {}
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            parameters = message["params"]
            match message["method"]:
                case "Network.requestWillBeSent":
                    urls[parameters["requestId"]] = url = parameters["request"]["url"]
                    self._requests.append(url)
                case "Network.requestServedFromCache":
                    cached.add(parameters["requestId"])
                case "Network.loadingFinished":
                    sizes[parameters["requestId"]] = int(parameters["encodedDataLength"])
        return {
            urls[id]: size for id, size in sizes.items() if id in urls and id not in cached and size
        }

    def reset(self) -> None:
        """Become a new visitor on a desktop."""
        self.open("/live")
        self.run("localStorage.clear(); sessionStorage.clear()")
        self.driver.delete_all_cookies()
        self.driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": ""})
        self.prefer(scheme="light")
        self.resize(DESKTOP)
        self.console_errors()
        self.requests()
        self._requests.clear()
