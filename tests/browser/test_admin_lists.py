"""Lists, receipts, keys and templates in a browser: what an operator does with them."""

import hashlib
import re

import pytest
import requests
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from tests.receipts import vectors
from tests.server import Server, open_to_postgresql

LOGS = "/admin/usage/usagelog/"


@pytest.fixture(scope="module")
def server(first_start, tmp_path_factory):
    """A server that signs receipts."""
    folder = open_to_postgresql(tmp_path_factory.mktemp("server"))
    with Server(
        first_start.copy(folder / "data"),
        LLMRING_WORKERS="1",
        LLMRING_RECEIPTS_PRIVATE_KEY_B64=vectors.SEED,
        LLMRING_RECEIPTS_PUBLIC_KEY_B64=vectors.PUBLIC,
        LLMRING_RECEIPTS_KEY_ID="k-2025",
    ) as server:
        yield server


@pytest.fixture(scope="module")
def send(server):
    def post(path: str, body: dict) -> dict:
        reply = requests.post(
            f"{server.url}{path}", json=body, headers={"X-API-Key": server.key}, timeout=20
        )
        assert reply.ok, reply.text
        return reply.json()

    return post


@pytest.fixture(scope="module")
def logs(send):
    """Sixty logs each of three providers, and one without a price."""
    entries = [
        {"provider": name, "model": f"{name}-1", "input_tokens": 1, "output_tokens": 1}
        | {"cost": f"0.0{n % 9 + 1}", "latency_ms": 1234}
        for name in ("alpha", "beta", "gamma")
        for n in range(60)
    ]
    entries.append({**entries[0], "model": "unknown-1", "cost": None, "alias": "lonely"})
    report = send("/api/v1/log/batch", {"logs": entries})
    assert report["failed"] == 0
    return [result["log_id"] for result in report["results"]]


def listed(browser) -> int:
    return len(browser.all("#result_list tbody tr.data-row"))


def total(browser) -> str:
    return browser.one("[data-total-cost]").text


def test_b1_filter_sort_page_and_back(browser, logs):
    browser.log_in()
    browser.open(f"{LOGS}?provider__exact=alpha&provider__exact=beta")
    assert (listed(browser), total(browser)) == (50, "5.82")
    browser.follow(browser.link("Cost (USD)"))
    browser.follow(browser.link("Next"))
    chosen = browser.path
    assert "p=2" in chosen and chosen.count("provider__exact") == 2 and "o=" in chosen
    assert total(browser) == "5.82"
    browser.follow(browser.all("#result_list tbody th a")[2])
    assert "/change/" in browser.path
    browser.driver.back()
    assert browser.path == chosen and total(browser) == "5.82"
    browser.follow(browser.all("#result_list tbody th a")[2])
    browser.follow(browser.link("Close"))
    assert browser.path.count("provider__exact") == 2 and "p=2" in browser.path
    browser.follow(browser.one("[aria-label='Remove the filter provider: alpha']"))
    assert browser.path.count("provider__exact") == 1 and "p=2" not in browser.path
    assert total(browser) == "2.91"
    browser.screenshot("filtered")


def test_search_finds_and_finds_nothing(browser, logs):
    browser.log_in()
    for words, count in (("lonel", 1), ("gamma-1", 50), ("no such thing", 0)):
        browser.open(LOGS)
        browser.one("#searchbar").send_keys(words + Keys.ENTER)
        browser.wait(lambda: "q=" in browser.path)
        assert listed(browser) == count, words
    browser.screenshot("nothing")


def test_filters_are_chosen_in_the_panel(browser, logs):
    browser.log_in()
    browser.open(f"{LOGS}?o=-5&p=2")
    browser.run(
        "const field = document.querySelector('[name=provider__exact]');"
        "for (const option of field.options) option.selected = option.value !== 'gamma';"
        "document.getElementById('filter-form').requestSubmit()"
    )
    browser.wait(lambda: "provider__exact=alpha" in browser.path)
    assert "provider__exact=beta" in browser.path and "o=-5" in browser.path
    assert not re.search(r"[?&]p=", browser.path)
    assert total(browser) == "5.82"


def test_b2_export_has_what_is_listed(browser, logs):
    browser.log_in()
    browser.open(f"{LOGS}?provider__exact=gamma")
    for name in ("Export NDJSON", "Export CSV"):
        text = browser.driver.execute_async_script(
            "fetch(arguments[0]).then((reply) => reply.text()).then(arguments[1])",
            browser.link(name).get_attribute("href"),
        )
        assert len(text.splitlines()) == 60 + (name == "Export CSV")


def test_a5_price_is_set_where_it_lacks(browser, logs):
    browser.log_in()
    browser.open(LOGS)
    browser.follow(browser.link("alpha:unknown-1"))
    assert browser.one("[name=model]").get_attribute("value") == "unknown-1"
    browser.one("[name=input]").send_keys("1000000")
    browser.one("[name=output]").send_keys("0")
    browser.follow(browser.one("[name=preview]"))
    assert "1 calls without a price would cost 1 USD together" in browser.text
    browser.screenshot("price")


def test_receipt_is_verified_and_downloaded(browser, send, logs):
    made = send("/api/v1/receipts/generate", {"log_ids": logs[:3]})["receipt"]
    browser.log_in()
    browser.open(f"/admin/receipts/receipt/?q={made['receipt_id']}")
    assert "VERIFIED" in browser.text
    browser.follow(browser.all("#result_list tbody th a")[0])
    assert "checked now" in browser.text and "openssl pkeyutl -verify" in browser.text
    assert browser.text.count("usage 0") == 3  # the certified logs
    text = browser.driver.execute_async_script(
        "fetch(arguments[0]).then((reply) => reply.text()).then(arguments[1])",
        browser.link("the receipt").get_attribute("href"),
    )
    assert made["receipt_id"] in text
    browser.screenshot("receipt")


def test_b4_key_is_made_copied_without_https_and_forgotten(foreign_browser, server):
    browser = foreign_browser
    browser.log_in()
    browser.open("/admin/accounts/project/")
    browser.follow(browser.all("#result_list tbody th a")[0])
    browser.follow(browser.link("New key"))
    browser.one("[name=name]").send_keys("laptop")
    browser.run(
        "const form = document.getElementById('apikey_form');"
        "form.requestSubmit(); form.requestSubmit()"  # a double click
    )
    browser.wait(lambda: browser.all("#new-key"))
    assert browser.run("return [isSecureContext, navigator.clipboard]") == [False, None]
    key = browser.one("#new-key").text
    assert browser.copy("new-key") == "Copied"
    stored = browser.run("return JSON.stringify([localStorage, sessionStorage, document.cookie])")
    assert key not in stored + browser.driver.current_url
    reply = requests.get(f"{server.url}/api/v1/logs", headers={"X-API-Key": key}, timeout=20)
    assert reply.status_code == 200
    browser.open("/admin/accounts/apikey/?q=laptop")
    assert listed(browser) == 1 and key not in browser.driver.page_source
    assert pasted(browser) == key
    browser.driver.back()
    assert key not in browser.driver.page_source


def pasted(browser) -> str:
    """What the clipboard holds, by the search box of the list."""
    box = browser.one("#searchbar")
    box.clear()
    box.send_keys(Keys.CONTROL, "v")
    text = box.get_attribute("value")
    box.clear()
    return text


def test_token_of_the_gateway_is_copied_without_https(foreign_browser):
    browser = foreign_browser
    browser.log_in()
    browser.open("/admin/accounts/project/")
    project = browser.all("#result_list tbody th a")[0].get_attribute("href").split("/")[-3]
    browser.open(f"/admin/gateway/token/add/?project={project}")
    browser.one("[name=name]").send_keys("app")
    browser.run("document.getElementById('token_form').requestSubmit()")
    browser.wait(lambda: browser.all("#new-token"))
    token = browser.one("#new-token").text
    assert browser.run("return navigator.clipboard") is None
    assert browser.copy("new-token") == "Copied"
    browser.open("/admin/gateway/token/")
    assert pasted(browser) == token


def test_b6_template_is_not_lost(browser):
    browser.log_in()
    browser.open("/admin/templates_app/conversationtemplate/add/")
    browser.one("[name=name]").send_keys("greeting")
    browser.one("[name=system_prompt]").send_keys("Hello {{who}} and {{name}")
    browser.one("[name=variables-name]").send_keys("who")
    Select(browser.one("[name=variables-kind]")).select_by_value("required")
    button = browser.driver.find_element(By.XPATH, "//button[text()='Preview']")
    browser.run("arguments[0].click()", button)
    browser.wait(lambda: "Missing: who" in browser.text)
    assert "Not closed:" in browser.text
    browser.screenshot("template")
    assert _asks_before_leaving(browser)
    browser.driver.delete_cookie("sessionid")  # the session ends while it is written
    browser.run("document.getElementById('conversationtemplate_form').requestSubmit()")
    browser.wait(lambda: "/admin/login/" in browser.driver.current_url)
    browser.log_in()
    browser.wait(lambda: browser.one("#template-draft").is_displayed())
    assert browser.one("[name=system_prompt]").get_attribute("value") == ""
    browser.one("#template-restore").click()
    prompt = browser.one("[name=system_prompt]").get_attribute("value")
    assert prompt.startswith("Hello {{who}} and")
    assert browser.one("[name=variables-name]").get_attribute("value") == "who"
    browser.run("document.getElementById('conversationtemplate_form').requestSubmit()")
    browser.wait(lambda: browser.path.endswith("/conversationtemplate/"))
    browser.follow(browser.link("greeting"))
    assert not browser.one("#template-draft").is_displayed()
    assert not _asks_before_leaving(browser)


def _asks_before_leaving(browser) -> bool:
    return browser.run(
        "const event = new Event('beforeunload', {cancelable: true});"
        "window.dispatchEvent(event); return event.defaultPrevented"
    )


def test_b3_conversation_shows_markup_as_text(browser, send):
    odd = "<img src=x onerror=alert(1)> **bold** ![p](https://example.invalid/p.png)"
    id = send("/conversations", {"title": "</script><script>alert(1)</script>"})["id"]
    send(f"/conversations/{id}/messages", {"role": "user", "content": odd})
    browser.log_in()
    browser.open(f"/admin/conversations/conversation/{id}/change/")
    assert "<img src=x onerror=alert(1)>" in browser.text
    assert browser.one(".chat-formatted strong").text == "bold"
    assert browser.all(".chat-formatted img") == []
    browser.screenshot("conversation")


# Cells whose text is longer than what is shown of it.
CUT_CELLS = """
return [...document.querySelectorAll('#result_list :is(th, td)')].filter(
  cell => cell.scrollHeight > cell.clientHeight + 1 || cell.scrollWidth > cell.clientWidth + 1
).map(cell => cell.innerText)
"""


def test_a_phone_cuts_no_long_text(browser, send):
    model = "m" * 255
    send("/api/v1/log", {"provider": "p", "model": model, "input_tokens": 1, "output_tokens": 1})
    id = send("/conversations", {"title": "long"})["id"]
    for text in ("w" * 300, "some words, and more of them " * 9):
        send(f"/conversations/{id}/messages", {"role": "user", "content": text})
    browser.log_in()
    browser.resize((360, 740))
    for path in (f"{LOGS}?model={model}", f"/admin/conversations/message/?q={id}"):
        browser.open(path)
        assert listed(browser) and browser.run(CUT_CELLS) == [], path
        assert not browser.scrolls_sideways(), path
    # The links that set prices are as long as names of models.
    browser.open(LOGS)
    browser.wait(lambda: model in browser.text)
    for size in ((360, 740), (1280, 900)):
        browser.resize(size)
        assert not browser.scrolls_sideways(), size


WIDEST_CELL = """
const cells = [...document.querySelectorAll('#result_list :is(th, td)')];
return Math.max(...cells.map(cell => cell.offsetWidth));
"""


def test_one_long_text_leaves_room_for_the_other_columns(browser, send):
    model = "m" * 255
    send("/api/v1/log", {"provider": "p", "model": model, "input_tokens": 1, "output_tokens": 1})
    browser.log_in()
    browser.open(f"{LOGS}?model={model}")
    assert listed(browser) and browser.run(WIDEST_CELL) < 400 and browser.run(CUT_CELLS) == []


def test_a_project_of_a_long_name_fits_on_lists_and_the_dashboard(browser):
    name = ("a long name " * 22)[:255].strip()
    browser.log_in()
    browser.open("/admin/accounts/project/add/")
    browser.one("[name=name]").send_keys(name)
    browser.run("document.getElementById('project_form').requestSubmit()")
    browser.wait(lambda: browser.path == "/admin/accounts/project/")
    browser.follow(browser.link("a long name"))
    browser.follow(browser.link("New key"))
    browser.run("document.getElementById('apikey_form').requestSubmit()")
    browser.wait(lambda: browser.all("#new-key"))
    for size in ((360, 740), (1280, 900)):
        browser.resize(size)
        browser.open("/admin/accounts/apikey/?q=a+long")
        assert listed(browser) == 1 and browser.run(CUT_CELLS) == [], size
        browser.open("/admin/")
        assert name in browser.text and not browser.scrolls_sideways(), size
        browser.screenshot(f"long-name-{size[0]}")


@pytest.mark.parametrize("size", [(360, 740), (1280, 900)], ids=["phone", "desktop"])
def test_without_scripts_menu_filters_and_logout_work(browser, logs, size):
    browser.log_in()
    browser.resize(size)
    browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.open("/admin/")
        browser.link("Logs").click()
        browser.wait(lambda: browser.path == LOGS)
        browser.screenshot(f"without-scripts-{size[0]}")
        Select(browser.one("[name=provider__exact]")).select_by_value("beta")
        browser.one("#filter-form [type=submit]").click()
        browser.wait(lambda: "provider__exact=beta" in browser.path)
        browser.link("Your account").click()
        browser.wait(lambda: browser.path == "/account")
        browser.link("Admin").click()
        browser.wait(lambda: browser.path == "/admin/")
        browser.one("form[action*=logout] button").click()
        browser.wait(lambda: "Log out" not in browser.text)
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_pages_fit_a_phone(browser, logs):
    browser.log_in()
    browser.resize((360, 740))
    for path in (LOGS, f"{LOGS}{logs[0]}/change/", f"{LOGS}price/", "/admin/receipts/receipt/"):
        browser.open(path)
        name = hashlib.md5(path.encode()).hexdigest()[:6]
        browser.screenshot(f"phone-{name}")
        assert not browser.scrolls_sideways(), path
