"""Logging in, and what the browser of these tests would notice."""

from uuid import uuid4

import pytest
from selenium.webdriver.common.keys import Keys


def test_admin_logs_in_and_gets_the_page_asked_for(browser):
    browser.open("/admin/usage/usagelog/?cost_source=unpriced")
    browser.log_in()
    assert browser.path == "/admin/usage/usagelog/?cost_source=unpriced"
    browser.screenshot("logs")


@pytest.mark.parametrize("path", ["/login", "/sign-up", "/forgot", "/admin/login/"])
def test_d2_pages_of_the_entry_in_the_dark(browser, path):
    browser.prefer(scheme="dark")
    browser.open(path)
    assert browser.violations() == []


def test_people_come_in_without_scripts(browser):
    browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        for path in ("/login", "/reset", "/verify", "/invitation", "/admin/login/"):
            browser.open(path)
            assert browser.one("form button[type=submit]").is_displayed(), path
        browser.open("/sign-up")
        browser.one("[name=email]").send_keys(f"{uuid4().hex}@example.com")
        browser.one("[name=password]").send_keys("correct horse battery" + Keys.ENTER)
        browser.wait(lambda: browser.all("#new-key"))
        assert browser.one("#new-key").is_displayed()
        assert not browser.one("[data-copies]").is_displayed()
        browser.link("Continue").click()
        browser.wait(lambda: "/projects/" in browser.path)
        assert browser.one("#content").is_displayed()
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_a_mailed_link_is_taken_by_a_page_that_is_open_already(browser):
    browser.open("/reset")
    browser.open("/reset#token=abc")
    browser.wait(lambda: not browser.one("#id_token").is_displayed())
    assert browser.one("#id_token").get_property("value") == "abc"
    assert browser.path == "/reset"


def test_a_theme_is_chosen_and_staff_log_out_by_the_keyboard(browser):
    browser.open("/admin/login/")
    browser.one("[aria-label=Theme]").send_keys(Keys.ENTER)
    dark = browser.one("nav [aria-label=Dark]")
    browser.wait(dark.is_displayed)
    dark.send_keys(Keys.ENTER)
    assert browser.one("html").get_attribute("class") == "dark"
    browser.log_in()
    browser.one("[aria-label='Account: admin']").send_keys(Keys.ENTER)
    button = browser.one("#logout-form button")
    browser.wait(button.is_displayed)
    button.send_keys(Keys.ENTER)
    browser.wait(lambda: "logged out" in browser.text)
    assert browser.driver.get_cookie("sessionid") is None


def test_console_errors_and_foreign_requests_are_noticed(browser):
    browser.open("/docs")
    browser.run("console.error('oh'); fetch('http://example.com/').catch(() => 0)")
    browser.wait(lambda: browser.foreign_requests())
    assert browser.foreign_requests() == ["http://example.com/"]
    assert any("oh" in error for error in browser.console_errors())
    browser._requests.clear()


@pytest.mark.parametrize("program", ["chromium", "chromedriver"])
def test_without_a_browser_the_tests_fail_and_say_what_to_install(monkeypatch, program, tmp_path):
    from tests.browser import browser

    monkeypatch.setattr(browser.shutil, "which", lambda name: None if name == program else name)
    with (
        pytest.raises(pytest.fail.Exception, match=f"{program} is not installed"),
        browser.chromium(tmp_path),
    ):
        pass
