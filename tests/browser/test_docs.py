"""/docs in a browser: authorize, execute, reload, log out."""

import json

import pytest
import requests
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys


def authorize(browser, key: str) -> None:
    browser.wait(lambda: browser.all(".authorize"))
    browser.one(".btn.authorize").click()
    browser.wait(lambda: browser.all(".auth-container input"))
    browser.one(".auth-container input").send_keys(key)
    browser.one(".auth-btn-wrapper .authorize").click()
    browser.one(".btn-done").click()


def execute(browser, id: str, **fields: str) -> None:
    """Try an operation out, with nothing changed but these parameters."""
    block = f"[id='operations-{id}']"
    # Swagger UI draws only what is near the window: the filter brings it there.
    browser.wait(lambda: browser.all(".operation-filter-input"))
    browser.one(".operation-filter-input").send_keys(id.partition("-")[0])
    browser.wait(lambda: browser.all(block))
    browser.run("arguments[0].scrollIntoView()", browser.one(block))
    browser.run("arguments[0].click()", browser.one(f"{block} .opblock-summary-control"))
    browser.wait(lambda: browser.all(f"{block} .try-out__btn"))
    browser.run("arguments[0].click()", browser.one(f"{block} .try-out__btn"))
    for name, value in fields.items():
        row = browser.one(f"{block} tr[data-param-name='{name}']")
        select = row.find_elements(By.CSS_SELECTOR, "select")
        (select or row.find_elements(By.CSS_SELECTOR, "input"))[0].send_keys(value)
    browser.run("arguments[0].click()", browser.one(f"{block} .execute"))
    browser.wait(lambda: browser.all(f"{block} .live-responses-table .response-col_status"))


def stored(browser) -> str:
    return browser.run("return JSON.stringify(localStorage) + JSON.stringify(sessionStorage)")


def test_c1_sample_of_a_log_is_executed_as_it_is(browser, server):
    browser.open("/docs")
    assert "kept in this browser's storage" in browser.text
    authorize(browser, server.key)
    execute(browser, "usage-api_v1_log_create")
    block = "[id='operations-usage-api_v1_log_create']"
    response = browser.one(f"{block} .live-responses-table").text
    assert "200" in response and '"cost": 0.00024' in response
    assert "application/json" in browser.one(f"{block} .curl-command").text
    browser.screenshot("executed")


def test_c2_key_is_kept_until_one_logs_out(browser, server):
    browser.open("/docs")
    authorize(browser, server.key)
    browser.open("/docs")
    execute(browser, "usage-api_v1_logs_list")
    block = "[id='operations-usage-api_v1_logs_list']"
    assert "200" in browser.one(f"{block} .response-col_status").text or "200" in browser.text
    assert server.key in stored(browser)
    browser.one(".btn.authorize").click()
    browser.wait(lambda: browser.all(".auth-btn-wrapper button"))
    browser.driver.find_element(By.XPATH, "//button[text()='Logout']").click()
    assert server.key not in stored(browser)
    browser.one(".auth-container input").send_keys("another-key" + Keys.ENTER)
    assert server.key not in stored(browser)


def test_c2_exports_are_downloads_and_nothing_freezes(browser, server):
    entry = {"provider": "p", "model": "m", "input_tokens": 1, "output_tokens": 1, "cost": 1}
    headers = {"X-API-Key": server.key}
    for _ in range(2):
        path = f"{server.url}/api/v1/log/batch"
        requests.post(path, json={"logs": [entry] * 2_500}, headers=headers, timeout=60)
    for kind in ("ndjson", "csv"):
        browser.open("/docs")
        authorize(browser, server.key)
        execute(browser, "usage-api_v1_logs_export_retrieve", format=kind)
        block = browser.one("[id='operations-usage-api_v1_logs_export_retrieve']")
        text = block.find_element(By.CSS_SELECTOR, ".live-responses-table").text
        assert "can't parse" not in text.lower(), kind
        link = block.find_element(By.PARTIAL_LINK_TEXT, "Download file")
        assert link.get_attribute("download") == f"usage-logs.{kind}"
        size = browser.driver.execute_async_script(
            "fetch(arguments[0]).then((reply) => reply.blob())"
            ".then((blob) => arguments[1](blob.size))",
            link.get_attribute("href"),
        )
        path = f"{server.url}/api/v1/logs/export?format={kind}"
        assert size == len(requests.get(path, headers=headers, timeout=60).content)
        browser.run("localStorage.clear()")


def test_c2_refused_key_is_shown(browser):
    browser.open("/docs")
    authorize(browser, "0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1b")  # an id is no key
    execute(browser, "usage-api_v1_logs_list")
    table = browser.one("[id='operations-usage-api_v1_logs_list'] .live-responses-table").text
    assert "401" in table and "Invalid API key" in json.dumps(table)
    # The browser itself reports the refused request.
    assert [error for error in browser.console_errors() if "401" not in error] == []


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_d2_documents_name_their_language(browser, path):
    """A screen reader takes its voice from it."""
    browser.open(path)
    assert browser.run("return document.documentElement.lang") == "en"


def test_c1_operations_are_filtered_by_tag(browser):
    browser.open("/docs")
    browser.wait(lambda: browser.all(".operation-filter-input"))
    browser.one(".operation-filter-input").send_keys("receipts")
    browser.wait(lambda: len(browser.all(".opblock-tag-section")) == 1)
