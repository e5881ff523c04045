"""E1: a server without any data shows the first steps, and fills with demo data on demand."""

from tests.browser.browser import DESKTOP


def test_e1_demo_data_is_made_and_removed_by_buttons(browser, server):
    browser.log_in()
    assert "No calls yet" in browser.text
    assert browser.violations() == []
    browser.screenshot("empty")
    browser.resize((320, 640))
    assert not browser.scrolls_sideways()
    browser.resize(DESKTOP)
    browser.follow(browser.one("form[action$='/demo/make/'] button"))
    browser.wait(lambda: "The demo project was made" in browser.text)
    assert "This is demo data" in browser.text
    assert browser.all(".chart-bar")
    browser.open("/admin/")
    assert "which is in no total of all projects" in browser.text
    assert not browser.all("form[action$='/demo/make/']")
    browser.follow(browser.link("Look at the demo"))
    browser.follow(browser.one("form[action$='/demo/remove/'] button"))
    browser.wait(lambda: "The demo project was removed" in browser.text)
    assert "No calls yet" in browser.text


def test_every_item_of_the_sidebar_opens(browser):
    browser.log_in()
    titles = [link.text for link in browser.all("#nav-sidebar-apps a")]
    addresses = [link.get_attribute("href") for link in browser.all("#nav-sidebar-apps a")]
    assert len(addresses) >= 15 and len(set(addresses)) == len(addresses)
    assert [title.split("\n")[-1] for title in titles[:4]] == [
        "Dashboard",
        "Logs",
        "Conversations",
        "Messages",
    ]
    for address in addresses:
        browser.driver.get(address)
        assert browser.all("#nav-sidebar-apps a.active"), address
