"""Every list of the admin, and the form of a row: axe, a phone, the keyboard alone (case D2)."""

import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib import admin
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.browser.browser import DESKTOP, PHONE

LISTS = [f"/admin/{model._meta.label_lower.replace('.', '/')}/" for model in admin.site._registry]
FORMS_TO_ADD = ["/admin/accounts/apikey/", "/admin/gateway/upstreamkey/", "/admin/auth/group/"]


@pytest.fixture(scope="module")
def server(server):
    """The server with a demo and a row of everything else."""
    script = Path(__file__).with_name("one_of_each.py").read_text()
    for command in (["demo"], ["shell", "--no-imports", "-c", script]):
        run = [sys.executable, "-m", "llmring_site.cli", "manage", *command]
        made = subprocess.run(run, env=server.environment, capture_output=True, text=True)
        assert made.returncode == 0, made.stderr
    return server


@pytest.fixture(scope="module")
def session() -> dict:
    """The cookie of the one log-in of all these tests."""
    return {}


@pytest.fixture
def operator(browser, session):
    """The browser of somebody who is logged in."""
    if session:
        browser.driver.add_cookie(session)
    else:
        browser.log_in()
        session |= browser.driver.get_cookie("sessionid")
    return browser


def press(browser, *keys: str) -> None:
    ActionChains(browser.driver).send_keys(*keys).perform()


# axe takes seconds for fifty rows, which are like the first ones.
FEW_ROWS = """
for (const row of document.querySelectorAll('#result_list tbody:nth-of-type(n+4)')) row.remove();
"""
SWITCH = "Alpine.$data(document.documentElement).switchTheme(arguments[0])"
IS_STILL = "return document.getAnimations().every(animation => animation.playState !== 'running')"


@pytest.mark.parametrize("path", LISTS)
def test_d2_list_and_form(operator, path):
    operator.open(path)
    assert not operator.scrolls_sideways()
    if "Demo data is left out" in operator.text:
        operator.follow(operator.link("Show it"))
    if operator.all("#changelist-filter"):
        open_and_close_filters(operator)
    if headers := operator.all("#result_list thead a[href*='o=']"):
        headers[0].send_keys(Keys.ENTER)
        operator.wait(lambda: "o=" in operator.path)
    operator.run(FEW_ROWS)
    assert operator.violations() == []
    look_from_a_phone(operator)
    # The browser stays a phone in the dark.
    open_first_row(operator)
    look_from_a_phone(operator)
    operator.resize(DESKTOP)
    assert not operator.scrolls_sideways()
    operator.run(SWITCH, "light")
    operator.wait(lambda: operator.run(IS_STILL))
    assert operator.violations() == []


@pytest.mark.parametrize("path", FORMS_TO_ADD)
def test_d2_form_to_add(operator, path):
    operator.open(f"{path}add/")
    assert not operator.scrolls_sideways()
    assert operator.violations() == []


def test_the_menu_of_the_account_is_opened_and_left_by_the_keyboard(operator):
    operator.open("/admin/")
    button = operator.one("[aria-label='Account: admin']")
    button.send_keys(Keys.ENTER)
    menu = operator.one("nav[x-show=openUserLinks]")
    operator.wait(lambda: operator.run("return arguments[0].matches(':focus-within')", menu))
    assert operator.driver.switch_to.active_element.text.endswith("Light")
    press(operator, Keys.ESCAPE)
    operator.wait(lambda: not menu.is_displayed())
    assert operator.driver.switch_to.active_element == button


def test_the_first_stop_of_the_keyboard_skips_the_menu(operator):
    operator.open("/admin/auth/group/add/")
    press(operator, Keys.TAB)
    link = operator.driver.switch_to.active_element
    assert link.text == "Skip to the content" and link.location["y"] >= 0
    press(operator, Keys.ENTER)
    press(operator, Keys.TAB)
    assert operator.driver.switch_to.active_element == operator.one("[name=name]")


def test_members_are_removed_and_added_by_the_keyboard(operator):
    operator.open("/admin/accounts/user/?is_superuser__exact=1")
    open_first_row(operator)
    box = operator.one("[name=memberships-0-DELETE]")
    box.send_keys(Keys.SPACE)
    assert box.is_selected() and "This item will be deleted" in operator.text
    box.send_keys(Keys.SPACE)
    assert not box.is_selected()
    operator.link("Add another").send_keys(Keys.ENTER)
    remove = next(each for each in operator.all(".delete-template") if each.is_displayed())
    remove.send_keys(Keys.ENTER)
    assert not any(each.is_displayed() for each in operator.all(".delete-template"))


def open_and_close_filters(browser) -> None:
    """Do so by the keyboard, which is then where it was."""
    panel = browser.one("#changelist-filter")
    [button] = [each for each in browser.all("[aria-label=Filters]") if each.is_displayed()]
    assert button.aria_role == "button" and not panel.is_displayed()
    button.send_keys(Keys.ENTER)
    browser.wait(panel.is_displayed)
    browser.wait(lambda: browser.run("return arguments[0].matches(':focus-within')", panel))
    press(browser, Keys.ESCAPE)
    browser.wait(lambda: not panel.is_displayed())
    assert browser.driver.switch_to.active_element == button


def open_first_row(browser) -> None:
    """Do so by the keyboard, whose place can be seen."""
    link = browser.one("#result_list tbody th a")
    browser.run("arguments[0].focus({focusVisible: true})", link)
    assert browser.run("return getComputedStyle(arguments[0]).outlineStyle", link) != "none"
    link.send_keys(Keys.ENTER)
    browser.wait(lambda: "/change/" in browser.path)
    browser.wait(lambda: browser.run("return document.readyState") == "complete")


def look_from_a_phone(browser) -> None:
    browser.resize(PHONE)
    assert not browser.scrolls_sideways()
    browser.run(SWITCH, "dark")
    browser.wait(lambda: browser.run(IS_STILL))
    assert browser.violations() == []
