"""D1: static files are hashed, compressed, and right after an upgrade."""

import gzip
import re
import shutil
from urllib.parse import urljoin

import pytest
import requests

from core.compression import is_compressible
from tests.server import Server, open_to_postgresql
from tests.site.test_dashboard import boss
from tests.usage.calls import CALL

pytestmark = pytest.mark.servers

__all__ = ["boss"]

PLAIN = "/static/unfold/js/htmx/htmx.js"


@pytest.fixture(scope="module")
def server(first_start, tmp_path_factory):
    folder = open_to_postgresql(tmp_path_factory.mktemp("static"))
    with Server(first_start.copy(folder / "data"), LLMRING_WORKERS="2") as server:
        yield server


def get(server: Server, path: str, **headers: str) -> requests.Response:
    """The reply, its body as it was sent."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    headers = {"Accept-Encoding": "identity", **names}
    reply = requests.get(urljoin(server.url, path), headers=headers, stream=True, timeout=10)
    reply.sent = reply.raw.read(decode_content=False)
    return reply


def files_of(server: Server, path: str) -> list[str]:
    """The static files that a page asks for, and those that its style sheets ask for."""
    page = get(server, path)
    assert page.status_code == 200, path
    found = re.findall(r"""(?:src|href)=["'](/static/[^"']+)""", page.sent.decode())
    for sheet in [name for name in found if name.endswith(".css")]:
        inner = re.findall(r"""url\(["']?([^"')]+)""", get(server, sheet).sent.decode())
        found += [urljoin(sheet, name) for name in inner if not name.startswith("data:")]
    return found


def test_d1_every_file_of_a_page_has_a_hash_and_may_be_kept(server):
    for page in ("/admin/login/", "/docs", "/redoc"):
        files = files_of(server, page)
        assert files, page
        for path in files:
            assert re.search(r"\.[0-9a-f]{12}\.\w+$", path), path
            reply = get(server, path)
            assert reply.status_code == 200, path
            assert "immutable" in reply.headers["Cache-Control"], path
            age = int(re.search(r"max-age=(\d+)", reply.headers["Cache-Control"])[1])
            assert age >= 365 * 86_400, path


def test_d1_plain_names_stay_with_a_short_life(server):
    reply = get(server, PLAIN)
    assert reply.status_code == 200
    assert reply.headers["Cache-Control"] == "max-age=60, public"


@pytest.fixture(scope="module")
def hashed(server) -> str:
    return next(path for path in files_of(server, "/admin/login/") if "js/htmx/htmx." in path)


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip", "gzip"),
        ("br, gzip", "gzip"),
        ("gzip;q=0.5", "gzip"),
        ("br", None),
        ("identity", None),
        ("gzip;q=0", None),
        ("gzip; q=0.000, identity", None),
        ("xgzip", None),
        ("br, " * 99 + "gzip", "gzip"),
        ("br, " * 100 + "gzip", None),  # so many take long to read
    ],
)
def test_d1_codings(server, hashed, accepted, coding):
    plain, reply = get(server, hashed), get(server, hashed, Accept_Encoding=accepted)
    assert reply.headers.get("Content-Encoding") == coding
    assert "Accept-Encoding" in reply.headers["Vary"]
    body = gzip.decompress(reply.sent) if coding else reply.sent
    assert body == plain.sent
    assert len(reply.sent) == int(reply.headers["Content-Length"])
    if coding:
        assert len(reply.sent) < len(plain.sent) / 2


def test_d1_validators_are_of_one_coding(server, hashed):
    plain, coded = get(server, hashed), get(server, hashed, Accept_Encoding="gzip")
    tags = plain.headers["ETag"], coded.headers["ETag"]
    assert tags[0] != tags[1]
    for tag in (*tags, f"W/{tags[0]}", f'"other", {tags[1]}'):
        reply = get(server, hashed, If_None_Match=tag, Accept_Encoding="gzip")
        assert (reply.status_code, reply.sent) == (304, b""), tag
    assert get(server, hashed, If_None_Match='"other"').status_code == 200


def test_d1_ranges(server, hashed):
    whole = get(server, hashed)
    reply = get(server, hashed, Range="bytes=10-19")
    assert (reply.status_code, reply.sent) == (206, whole.sent[10:20])
    assert reply.headers["Content-Range"] == f"bytes 10-19/{len(whole.sent)}"
    assert get(server, hashed, Range="bytes=-5").sent == whole.sent[-5:]
    assert get(server, hashed, Range="bytes=0-9", If_Range='"other"').status_code == 200
    assert get(server, hashed, Range="bytes=0-0").status_code in (200, 206)
    assert get(server, hashed, Range="bytes=99999999-").status_code == 416


def test_d1_pages_and_large_json_are_compressed(server):
    for path in ("/admin/login/", "/openapi.json", "/docs", "/registry.json"):
        plain, coded = get(server, path), get(server, path, Accept_Encoding="gzip")
        assert coded.headers.get("Content-Encoding") == "gzip", (path, len(plain.sent))
        assert "Accept-Encoding" in coded.headers["Vary"], path
        assert "Accept-Encoding" in plain.headers["Vary"], path
        assert len(coded.sent) < len(plain.sent) / 2, path
        if "json" in path:
            assert gzip.decompress(coded.sent) == plain.sent, path
    assert "Content-Encoding" not in get(server, "/", Accept_Encoding="gzip").headers


@pytest.mark.parametrize("path", ["/registry", "/registry?providers=openai"], ids=["edge", "view"])
def test_d1_registry_is_revalidated_in_either_coding(server, path):
    plain, coded = (get(server, path, Accept_Encoding=accepted) for accepted in ("br", "gzip"))
    assert coded.headers["ETag"] == f"W/{plain.headers['ETag']}"
    for reply in (plain, coded):
        again = get(server, path, If_None_Match=reply.headers["ETag"])
        assert again.status_code == 304


def test_d1_pages_of_an_old_version_find_their_files(data_dir):
    """An old tab asks for names that only the version before had."""
    with Server(data_dir, LLMRING_WORKERS="1") as server:
        names = files_of(server, "/admin/login/")
    old = data_dir / "static/core/charts.0123456789ab.css"
    old.write_text("/* of the version before */")
    changed = data_dir / "static/.collected"
    changed.write_text("files of another version")
    with Server(data_dir, LLMRING_WORKERS="1") as server:
        assert files_of(server, "/admin/login/") == names
        assert get(server, "/static/core/charts.0123456789ab.css").sent == old.read_bytes()
        assert changed.read_text() != "files of another version"


def test_d1_without_a_place_to_collect_plain_names_serve(data_dir):
    shutil.rmtree(data_dir / "static")
    (data_dir / "static").write_text("no folder")
    with Server(data_dir, LLMRING_WORKERS="1") as server:
        files = files_of(server, "/admin/login/")
        assert "/static/unfold/css/styles.css" in files
        assert all(get(server, path).status_code == 200 for path in files)
        assert "static files are served uncompressed" in server.output


def test_a_page_that_shows_a_key_is_not_compressed(boss, project):
    response = boss.post(
        "/admin/accounts/apikey/add/",
        {"project": str(project.id), "name": "n" * 255},
        HTTP_ACCEPT_ENCODING="gzip",
    )
    assert re.search(rb"llmr_pk_[0-9a-f]{32}", response.content)
    assert not response.has_header("Content-Encoding")
    assert {"no-store", "no-transform"} <= set(response["Cache-Control"].split(", "))
    listed = boss.get("/admin/accounts/apikey/", HTTP_ACCEPT_ENCODING="gzip")
    assert listed["Content-Encoding"] == "gzip"


@pytest.mark.parametrize(
    ("status", "headers", "size", "expected"),
    [
        (200, {"Content-Type": "text/html; charset=utf-8"}, 5_000, True),
        (200, {"Content-Type": "text/html"}, 1_000, False),
        (
            200,
            {"Content-Type": "text/html", "Cache-Control": "private, no-transform"},
            5_000,
            False,
        ),
        (200, {"Content-Type": "application/json"}, 40_000, True),
        (200, {"Content-Type": "application/json"}, 5_000, False),
        (200, {"Content-Type": "image/png"}, 50_000, False),
        (200, {"Content-Type": "text/html", "Content-Encoding": "br"}, 5_000, False),
        (404, {"Content-Type": "text/html"}, 5_000, False),
    ],
)
def test_what_is_compressed(status, headers, size, expected):
    assert is_compressible(status, headers, size) == expected


def test_large_pages_of_logs_are_compressed_on_the_edge_and_by_views(api, way):
    entries = [{**CALL, "metadata": {"text": "x" * 900}}] * 50
    api.send("POST", "/api/v1/log/batch", {"logs": entries})
    plain = api.get("/api/v1/logs")
    coded = api.get("/api/v1/logs", HTTP_ACCEPT_ENCODING="gzip;q=1.0, *;q=0.1")
    assert len(plain.content) > 32 * 1024 and not plain.has_header("Content-Encoding")
    assert coded["Content-Encoding"] == "gzip" and len(coded.content) < 8 * 1024
    assert gzip.decompress(coded.content) == plain.content
    for reply in (plain, coded):
        assert "Accept-Encoding" in reply["Vary"]
        assert int(reply["Content-Length"]) == len(reply.content)
