"""People's own pages, as they use them. Names such as e03 are those of the cases they answer."""

import re
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import requests
from selenium.webdriver.common.keys import Keys

from tests.browser.browser import DESKTOP, PHONE

PASSWORD, NEW = "correct horse battery", "another long sentence"
CALL = {"provider": "acme", "model": "m1", "input_tokens": 10, "output_tokens": 5, "cost": "0.25"}
KEY = re.compile(r"llmr_pk_[0-9a-f]{32}")


@pytest.fixture
def address():
    """A function that returns somebody's address; another one when the test is tried again."""
    attempt = uuid4().hex[:8]
    return lambda name: f"{name}.{attempt}@example.com"


def fill(browser, **fields: str) -> None:
    """Write into the fields of these names."""
    for name, text in fields.items():
        browser.one(f"[name={name}]").send_keys(text)


def press(browser, selector: str = "main button[type=submit], form.page-form button") -> None:
    browser.one(selector).click()


def register(browser, email: str) -> None:
    """Sign up and be on the page of the first key."""
    browser.open("/sign-up")
    fill(browser, email=email, password=PASSWORD)
    press(browser, "#page-form button[type=submit]")
    browser.wait(lambda: browser.all("#new-key"))


def go_on(browser) -> str:
    """Go on from the first key to the project; the path of its home."""
    browser.link("Continue").click()
    browser.wait(lambda: "/projects/" in browser.path)
    return browser.path


def sign_up(browser, email: str) -> str:
    """Sign up and go on to the project; the path of its home."""
    register(browser, email)
    return go_on(browser)


def log_in(browser, email: str, password: str = PASSWORD) -> None:
    fill(browser, name=email, password=password)
    press(browser, "#page-form button[type=submit]")
    browser.wait(lambda: not browser.path.startswith("/login"))


def log_out(browser) -> None:
    browser.open("/logout")
    press(browser, "#page-form button[type=submit]")
    browser.wait(lambda: browser.path.startswith("/login"))


def make_key(browser, home: str, name: str) -> str:
    browser.open(f"{home}/keys")
    fill(browser, name=name)
    press(browser, "form.page-form button")
    browser.wait(lambda: browser.all("#new-key"))
    browser.wait(lambda: browser.run("return document.readyState") == "complete")
    return browser.one("#new-key").text


def log_call(server, key: str, **members) -> None:
    reply = requests.post(
        f"{server.url}/api/v1/log", json=CALL | members, headers={"X-API-Key": key}, timeout=20
    )
    assert reply.status_code == 200


def mailed(server, address: str) -> str:
    """The path of the link in the last mail to an address, which the server printed."""
    log = server.log.read_text()
    message = log[log.rindex(f"To: {address}") :]
    url = urlsplit(re.search(r"https?://\S+#token=\S+", message)[0])
    return f"{url.path}#{url.fragment}"


def looks_good(browser, name: str) -> None:
    """No violation of accessibility, no sideways scrolling, on desktop and phone."""
    for size, device in ((DESKTOP, "desktop"), (PHONE, "phone")):
        browser.resize(size)
        assert browser.violations() == [], (name, device)
        assert not browser.scrolls_sideways(), (name, device)
        browser.screenshot(f"{name}-{device}")
    browser.resize(DESKTOP)


def test_from_signing_up_to_a_call_on_the_projects_home(browser, server, address):
    register(browser, address("ana"))
    looks_good(browser, "first-key")
    assert browser.copy("first-call") == "Copied"
    home = go_on(browser)
    assert "No calls yet" in browser.text
    looks_good(browser, "first-steps")
    key = make_key(browser, home, "laptop")
    looks_good(browser, "key")
    log_call(server, key)
    log_call(server, key, model="m2", origin="web", latency_ms=120)
    browser.open("/")
    browser.wait(lambda: browser.path == home)
    assert "acme:m1" in browser.text and "0.25" in browser.text
    assert browser.all(".chart-bar")
    looks_good(browser, "home")
    for page in ("calls", "keys", "members", "plan", "connect"):
        browser.open(f"{home}/{page}")
        looks_good(browser, page)
    browser.open("/projects")
    looks_good(browser, "projects")
    browser.prefer(scheme="dark")
    browser.open(home)
    looks_good(browser, "home-dark")


def test_d2_a_long_name_of_a_key_does_not_widen_its_pages(browser, address):
    home = sign_up(browser, address("long"))
    make_key(browser, home, "x" * 255)
    looks_good(browser, "key-long-name")
    browser.open(f"{home}/keys")
    for verb in ("rotate", "revoke"):
        browser.follow(browser.one(f"a[href$={verb}]"))
        looks_good(browser, f"{verb}-long-name")
        browser.driver.back()
    browser.open("/account")
    looks_good(browser, "account-long-names")
    browser.open("/projects")
    fill(browser, name="x" * 100 + " y" * 50)
    press(browser, "form.page-form button")
    browser.wait(lambda: browser.path.startswith("/projects/"))
    browser.open("/account/delete")
    looks_good(browser, "account-delete-long-names")


def test_an_invited_viewer_reads_and_a_stranger_finds_nothing(browser, server, address):
    home = sign_up(browser, address("owner"))
    browser.open(f"{home}/members")
    fill(browser, email=address("viewer"))
    browser.run("document.querySelector('[name=role]').value = 'viewer'")
    press(browser, "form.page-form button")
    browser.wait(lambda: browser.path.endswith("?notice=invited"))
    assert "The invitation is on its way" in browser.text
    looks_good(browser, "members-invited")
    for page in ("invitation", "verify"):  # somebody else's link
        browser.open(f"/{page}")
        assert f"You are logged in as {address('owner')}" in browser.text
        looks_good(browser, f"{page}-logged-in")
    log_out(browser)

    browser.wait(lambda: f"To: {address('viewer')}" in server.log.read_text())
    browser.open(mailed(server, address("viewer")))
    fill(browser, password=PASSWORD)
    press(browser, "#page-form button[type=submit]")
    browser.wait(lambda: browser.path == home)
    assert "Keys" not in [link.text for link in browser.all("#nav-sidebar-apps a span:last-child")]
    browser.open(f"{home}/keys")
    assert "Permission to manage this project's keys is missing" in browser.text
    looks_good(browser, "refused")
    log_out(browser)

    sign_up(browser, address("stranger"))
    browser.open(home)
    assert "404 Not Found" in browser.text
    # The pages above were 403 and 404, as they should be.
    assert all(" 40" in error for error in browser.console_errors())


def test_an_account_from_its_password_to_its_end(browser, server, address):
    home = sign_up(browser, address("self"))
    browser.follow(browser.link("Your account"))
    assert browser.path == "/account" and address("self") in browser.text
    for scheme in ("light", "dark"):
        browser.prefer(scheme=scheme)
        for page in ("", "/verification", "/password", "/logout-everywhere", "/delete"):
            browser.open(f"/account{page}")
            looks_good(browser, f"account{page.replace('/', '-')}-{scheme}")
    browser.open("/account/password")
    fill(browser, current_password="wrong", password=NEW)
    browser.follow(browser.one("form.page-form button"))
    assert "The current password is wrong" in browser.text
    looks_good(browser, "account-password-wrong")
    # By the keyboard alone.
    browser.one("[name=current_password]").send_keys(PASSWORD + Keys.TAB)
    browser.driver.switch_to.active_element.send_keys(NEW + Keys.TAB)
    browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
    browser.wait(lambda: browser.path == "/account?notice=password")
    browser.open("/account/delete")
    fill(browser, current_password=NEW)
    browser.follow(browser.one("form.page-form button"))
    assert "keeps an owner" in browser.text
    looks_good(browser, "account-delete-refused")
    browser.follow(browser.one(f".panel a[href='{home}/archive']"))
    browser.follow(browser.one("form.page-form button"))
    browser.open("/account/delete")
    fill(browser, current_password=NEW)
    browser.follow(browser.one("form.page-form button"))
    assert browser.path == "/login?notice=deleted" and "The account is deleted" in browser.text
    # The pages above were 403 and 409, as they should be.
    assert all(" 40" in error for error in browser.console_errors())


def test_an_account_without_scripts(browser, address):
    sign_up(browser, address("plain"))
    browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.open("/account")
        browser.screenshot("account-without-scripts")
        browser.link("Change the password").click()
        browser.wait(lambda: browser.path == "/account/password")
        fill(browser, current_password=PASSWORD, password=NEW)
        press(browser, "form.page-form button")
        browser.wait(lambda: browser.path == "/account?notice=password")
        browser.link("Log out everywhere").click()
        browser.wait(lambda: browser.path == "/account/logout-everywhere")
        press(browser, "form.page-form button")
        browser.wait(lambda: browser.path.startswith("/login"))
        assert "You are logged out everywhere" in browser.text
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_e01_a_tab_of_another_login_asks_to_reload(browser, address):
    home = sign_up(browser, address("tabs"))
    browser.open(f"{home}/keys")
    first = browser.driver.current_window_handle
    browser.driver.switch_to.new_window("tab")
    try:
        log_out(browser)
        log_in(browser, address("tabs"))
        browser.driver.switch_to.window(first)
        fill(browser, name="stale")
        press(browser, "form.page-form button")
        browser.wait(lambda: browser.driver.title == "403 Forbidden")
        assert "reload the page" in browser.text
        browser.open(f"{home}/keys")
        assert "stale" not in browser.text
    finally:
        for handle in browser.driver.window_handles:
            if handle != first:
                browser.driver.switch_to.window(handle)
                browser.driver.close()
        browser.driver.switch_to.window(first)
    assert all(" 403 " in error for error in browser.console_errors())


def set_offline(browser, offline: bool) -> None:
    unlimited = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    conditions = {"offline": offline, **unlimited}
    browser.driver.execute_cdp_cmd("Network.emulateNetworkConditions", conditions)


def test_e01_a_part_that_fails_says_so_in_its_place(browser, address):
    home = sign_up(browser, address("parts"))
    for count, (path, is_offline) in enumerate([("nothing", False), ("latency", True)], start=1):
        set_offline(browser, is_offline)
        browser.run(
            "const part = document.createElement('section'); part.className = 'part';"
            "document.querySelector('.dashboard').append(part);"
            "htmx.ajax('GET', arguments[0], {source: part, target: part})",
            f"{home}/{path}",
        )
        browser.wait(lambda n=count: browser.text.count("This part could not be read") == n)
    set_offline(browser, False)
    browser.driver.delete_all_cookies()
    browser.run(
        "htmx.ajax('GET', arguments[0], {target: document.querySelector('.part')})",
        f"{home}/latency",
    )
    browser.wait(lambda: browser.path.startswith("/login?next="))
    browser.console_errors()
    browser._requests.clear()
    browser.requests()
    browser._requests.clear()


def test_e02_nothing_is_left_after_logout(browser, address):
    home = sign_up(browser, address("gone"))
    for page in ("", "/keys", "/members"):
        browser.open(home + page)
    log_out(browser)
    for _ in range(3):
        browser.driver.back()
        browser.wait(lambda: browser.all("body"))
        assert address("gone") not in browser.text and "My project" not in browser.text
    stored = browser.run("return JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert "gone@" not in stored and home not in stored and "htmx" not in stored


@pytest.mark.parametrize("way", ["allowed", "denied", "plain http"])
def test_e03_copying_is_honest(request, way, address):
    browser = request.getfixturevalue("foreign_browser" if way == "plain http" else "browser")
    home = sign_up(browser, address(f"copy-{way.replace(' ', '-')}"))
    key = make_key(browser, home, "laptop")
    if way == "denied":
        browser.run(
            "Object.defineProperty(navigator, 'clipboard', {value: {writeText:"
            " () => Promise.reject(new Error('denied'))}, configurable: true});"
            "document.execCommand = () => false"
        )
    assert browser.run("return navigator.clipboard !== undefined") is (way != "plain http")
    status = browser.copy("new-key")
    if way == "denied":
        assert "Not copied: the text is selected" in status
        assert browser.run("return String(getSelection())").strip() == key
    else:
        assert status == "Copied"
    assert key not in browser.driver.current_url and key not in browser.driver.title
    browser.open(f"{home}/keys")
    browser.driver.back()
    browser.wait(lambda: browser.all("body"))
    assert not KEY.search(browser.run("return document.documentElement.outerHTML"))
    stored = browser.run("return JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert not KEY.search(stored)
    browser.console_errors()


def test_e04_a_double_click_makes_one_key(browser, address):
    home = sign_up(browser, address("twice"))
    browser.open(f"{home}/keys")
    fill(browser, name="double")
    browser.run(
        "const button = document.querySelector('form.page-form button');"
        "button.click(); button.click(); button.form.requestSubmit()"
    )
    browser.wait(lambda: browser.all("#new-key"))
    browser.open(f"{home}/keys")
    assert browser.text.count("double") == 1
