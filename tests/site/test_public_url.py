"""LLMRING_PUBLIC_URL with a path: behind a proxy that takes it off and ends TLS."""

import re
from urllib.parse import urljoin

import pytest
import requests

from tests.first_start import PASSWORD
from tests.server import Server, open_to_postgresql

pytestmark = pytest.mark.servers

SITE = "https://www.example.com/llmring"


class Browser(requests.Session):
    """Asks for addresses of the site; the proxy between is played here."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self._server = server
        self.headers["X-Forwarded-Proto"] = "https"

    def request(self, method, url, **kwargs):
        assert url.startswith(f"{SITE}/"), f"{url} is not below the path"
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.cookies)
        kwargs["headers"] = {**kwargs.get("headers", {}), "Cookie": cookies}
        target = self._server.url + url.removeprefix(SITE)
        return super().request(method, target, timeout=20, **{**kwargs, "allow_redirects": False})


@pytest.fixture(scope="module")
def server(first_start, tmp_path_factory):
    folder = open_to_postgresql(tmp_path_factory.mktemp("subpath"))
    with Server(
        first_start.copy(folder / "data"),
        LLMRING_PUBLIC_URL="HTTPS://WWW.Example.com:443/llmring/",
        LLMRING_ALLOWED_HOSTS="www.example.com,127.0.0.1",
        LLMRING_WORKERS="1",
    ) as server:
        yield server


@pytest.mark.parametrize("page", ["docs", "redoc"])
def test_documentation_finds_its_files_below_the_path(server, page):
    browser = Browser(server)
    address = f"{SITE}/{page}"
    content = browser.get(address).text
    files = re.findall(r'(?:src|href)="([^"#]+\.(?:js|css|png))', content)
    assert files
    for file in files:
        assert browser.get(urljoin(address, file)).status_code == 200
    assert "/llmring/openapi.json" in content
    description = browser.get(f"{SITE}/openapi.json").json()
    assert description["servers"] == [{"url": "/llmring"}]


def test_admin_is_used_below_the_path(server):
    browser = Browser(server)
    entry = browser.get(f"{SITE}/admin")
    assert urljoin(SITE, entry.headers["Location"]) == f"{SITE}/admin/"
    login = urljoin(SITE, browser.get(f"{SITE}/admin/").headers["Location"])
    page = browser.get(login)
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)[1]
    form = {"username": "admin", "password": PASSWORD, "csrfmiddlewaretoken": token}
    # A proxy that does not pass the host on shows another one than the browser's origin.
    origin = {"Origin": "https://www.example.com", "Referer": login}
    answer = browser.post(login, data=form, headers=origin)
    assert urljoin(SITE, answer.headers["Location"]) == f"{SITE}/admin/"
    assert {cookie.path for cookie in browser.cookies} == {"/llmring"}
    content = browser.get(f"{SITE}/admin/").text
    links = set(re.findall(r'(?:href|src)="(/[^"]*)"', content))
    assert len(links) > 20
    assert [link for link in links if not link.startswith("/llmring/")] == []


def test_service_names_its_addresses_below_the_path(server):
    body = Browser(server).get(f"{SITE}/").json()
    assert body["docs"] == body["endpoints"]["docs"] == "/llmring/docs"
    assert body["endpoints"]["api"] == "/llmring/api/v1"
    assert f"Ready: {SITE}  {SITE}/docs  {SITE}/admin/" in server.output
