"""The dashboard in a browser: its bars lead to the logs they sum, on any screen, in any theme.

Names such as A7 are those of the cases they answer.
"""

import re
import subprocess
import sys
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
import requests
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.browser.browser import DESKTOP, PHONE
from tests.days import today

LONG = "long-" + "x" * 250
# WCAG's contrast of two colors that the browser has computed, whatever they are written in.
CONTRAST = """
const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
const luminance = color => {
  canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
  const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map(value => {
    value /= 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const [a, b] = [arguments[0], arguments[1]].map(luminance);
return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
"""


@pytest.fixture(scope="module")
def demo(server) -> str:
    """The path of the dashboard of the demo project, which its command has made."""
    command = [sys.executable, "-m", "llmring_site.cli", "manage", "demo"]
    made = subprocess.run(command, env=server.environment, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    address = urlsplit(made.stdout.split()[-1])
    return f"{address.path}?{address.query}"


@pytest.fixture(scope="module")
def project(server) -> str:
    """The id of the first project, which has a few calls, one of a model with a long name."""
    models = [
        ("m1", "0.25", 0),
        ("m1", "0.5", -1),
        ("m2", "1.25", -1),
        (LONG, "0.000000000001", -2),
    ]
    logs = [
        {
            "provider": "acme",
            "model": model,
            "alias": model[:64],
            "input_tokens": 10,
            "output_tokens": 5,
            "cost": cost,
            "timestamp": f"{today() + timedelta(days=day)}T00:00:00Z",
        }
        for model, cost, day in models
    ]
    reply = requests.post(
        f"{server.url}/api/v1/log/batch",
        json={"logs": logs},
        headers={"X-API-Key": server.key},
        timeout=10,
    )
    assert reply.json()["created"] == len(logs), reply.text
    return "default"


@pytest.fixture
def home(browser, project):
    """The browser on the dashboard of the project."""
    browser.log_in()
    browser.open(f"/admin/?project={project}")
    return browser


def test_a1_a_click_on_a_bar_opens_the_logs_it_sums(home):
    [bar] = [
        bar
        for bar in home.all(".chart-bar")[:4]
        if bar.accessible_name.startswith(f"m2, {today() - timedelta(days=1)}")
    ]
    assert bar.accessible_name.endswith("cost 1.25, 1 call")
    bar.click()
    home.wait(lambda: home.path.startswith("/admin/usage/usagelog/"))
    rows = home.all("#result_list tbody tr")
    assert len(rows) == 1 and "m2" in rows[0].text and "1.25" in rows[0].text
    address = home.path
    home.driver.switch_to.new_window("tab")
    home.open(address)
    assert len(home.all("#result_list tbody tr")) == 1
    home.driver.close()
    home.driver.switch_to.window(home.driver.window_handles[0])


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Pacific/Kiritimati"])
def test_a2_days_are_the_same_in_every_zone(home, zone):
    home.set_timezone(zone)
    home.driver.refresh()
    names = home.run(
        "return [...document.querySelector('.chart-table').tBodies[0].rows]"
        ".map(row => row.cells[0].textContent)"
    )
    expected = [f"{today() - timedelta(days=n)}" for n in range(29, 0, -1)]
    assert names == [*expected, f"{today()} (not finished)"]
    assert "UTC" in home.text


def test_a7_bars_are_reached_by_the_keyboard_and_open_with_enter(home):
    home.one("[name=end]").send_keys("")
    names = []
    for _ in range(40):
        ActionChains(home.driver).send_keys(Keys.TAB).perform()
        focused = home.driver.switch_to.active_element
        if "chart-bar" in (focused.get_attribute("class") or ""):
            names.append(focused.accessible_name)
            if len(names) == 3:
                break
    assert len(names) == 3
    assert all(re.search(r", \d{4}-\d\d-\d\d.*: cost [\d.]+, 1 call$", name) for name in names)
    outline = home.run("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    focused.send_keys(Keys.ENTER)
    home.wait(lambda: home.path.startswith("/admin/usage/usagelog/"))


def test_a7_tables_open_with_the_keyboard(home):
    summary = home.one(".chart-details summary")
    assert not home.one(".chart-table").is_displayed()
    summary.send_keys(Keys.ENTER)
    assert home.one(".chart-table").is_displayed()
    assert "0.000000000001" in home.one(".chart-table").text


def test_a7_without_scripts_figures_and_links_are_there(home):
    home.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        home.driver.refresh()
        text = home.one("#content").get_attribute("textContent")
        assert "2.000000000001" in text
        bar = home.one(".chart-bar")
        assert bar.is_displayed() and bar.get_attribute("href")
    finally:
        home.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_a7_a_theme_switch_keeps_everything_legible(home):
    def contrasts() -> list[tuple[str, float]]:
        found = []
        for selector, part, least in (
            (".chart-swatch", "backgroundColor", 3),
            (".chart-axis span", "color", 4.5),
            (".chart-legend li", "color", 4.5),
            (".chart-label", "color", 4.5),
            (".chart-details summary", "color", 4.5),
        ):
            for color in home.run(
                "return [...document.querySelectorAll(arguments[0])]"
                ".map(element => getComputedStyle(element)[arguments[1]])",
                selector,
                part,
            ):
                ground = "return getComputedStyle(document.querySelector('.panel')).backgroundColor"
                contrast = home.run(CONTRAST, color, home.run(ground))
                found.append((f"{selector} {color}", contrast / least))
        return found

    for theme in ("dark", "light"):
        home.run("Alpine.$data(document.documentElement).switchTheme(arguments[0])", theme)
        has_dark = "return document.documentElement.classList.contains('dark')"
        home.wait(lambda has_dark=has_dark, theme=theme: home.run(has_dark) is (theme == "dark"))
        # Without a reload.
        assert [found for found in contrasts() if found[1] < 1] == [], theme


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_d2_dashboard_fits_and_axe_finds_nothing(browser, demo, size, theme):
    browser.log_in()
    browser.prefer(scheme=theme)
    browser.resize(size)
    browser.open(demo)
    browser.wait(lambda: "Latency: " in browser.text)
    assert not browser.scrolls_sideways()
    assert browser.violations() == []
    width = size[0]
    height = browser.run("return document.documentElement.scrollHeight")
    browser.resize((width, min(height, 6000)))
    browser.screenshot(f"{'phone' if size == PHONE else 'desktop'}-{theme}")


def test_d2_long_names_do_not_widen_the_page(home):
    for size in (PHONE, (640, 450)):  # the second is a desktop at 200 %
        home.resize(size)
        home.driver.refresh()
        assert not home.scrolls_sideways(), size


def test_d2_a_year_of_days_fits_on_a_phone(home):
    home.resize(PHONE)
    home.open("/admin/?start=2025-01-01&end=2026-01-01")
    assert len(home.all(".chart-column")) == 2 * 366 and not home.scrolls_sideways()


def test_d2_menu_opens_and_closes_on_a_phone(home):
    home.resize(PHONE)
    home.driver.refresh()
    menu = home.one("#nav-sidebar-apps")
    assert not menu.is_displayed()
    button = next(each for each in home.all("[aria-label=Menu]") if each.is_displayed())
    assert button.aria_role == "button"
    button.send_keys(Keys.ENTER)
    home.wait(menu.is_displayed)
    assert home.link("Logs").is_displayed()
    ActionChains(home.driver).send_keys(Keys.ESCAPE).perform()
    home.wait(lambda: not menu.is_displayed())
    assert home.driver.switch_to.active_element == button


@pytest.mark.parametrize("path", ["/admin/login/", "/nothing", "/admin/nothing/"])
def test_d2_login_and_error_pages(browser, path):
    if path.startswith("/admin/nothing"):
        browser.log_in()
    browser.open(path)
    for size in (DESKTOP, PHONE):
        browser.resize(size)
        assert not browser.scrolls_sideways(), size
    assert browser.violations() == []
    browser.screenshot(path.strip("/").replace("/", "-"))
    if "nothing" in path:
        assert all("404" in error for error in browser.console_errors())


def test_d1_cold_dashboard_is_light_and_warm_asks_for_no_script(browser, demo):
    browser.log_in()
    browser.driver.execute_cdp_cmd("Network.clearBrowserCache", {})
    browser.transferred()
    browser.open(demo)
    browser.run("return document.fonts.ready.then(() => true)")
    cold = browser.transferred()
    assert any(url.endswith(".woff2") for url in cold)
    assert sum(cold.values()) <= 500_000, cold
    browser.open(demo)
    warm = browser.transferred()
    assert [url for url in warm if "/static/" in url] == []


def test_b3_labels_of_others_run_nothing(server, browser):
    odd = "<img src=x onerror=alert(1)></script><script>alert(1)</script>{{7*7}}"
    log = {"provider": "acme", "model": odd, "origin": odd, "input_tokens": 1, "output_tokens": 1}
    headers = {"X-API-Key": "llmr_pk_" + "5" * 32}
    url = f"{server.url}/api/v1/log"
    requests.post(url, json={**log, "cost": "0.5"}, headers=headers, timeout=10).raise_for_status()
    browser.log_in()
    assert odd in browser.text  # no dialog stopped us, and it is there as it was sent
    assert not browser.all("img[src=x]")
