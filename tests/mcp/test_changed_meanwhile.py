"""Servers that their project changes while they are being asked."""

from datetime import timedelta
from queue import SimpleQueue
from threading import Thread

import pytest
from django.utils import timezone

from accounts.models import Project
from mcp import background_refresh, registration
from mcp.models import Server, Tool
from mcp.server_calls import ChangedServers, changed_servers
from tests.client import ApiClient
from tests.mcp.peers.scripted import result, scripted
from tests.threads import giving_back

pytestmark = pytest.mark.usefixtures("transactional_db")  # other threads take part

SERVERS = "/api/v1/mcp/servers"
SOON = timedelta(seconds=11)  # after the shortest interval
LATER = timedelta(minutes=17)  # after the interval between refreshes


class Interrupted:
    """A peer; `while_asked()` runs once, in a thread, while it is asked for its tools."""

    def __init__(self) -> None:
        self.while_asked = None

    def list_tools(self, link, message, head) -> None:
        run, self.while_asked = self.while_asked, None
        if run:
            in_thread(run)
        link.sendall(result(message, {"tools": [{"name": "own", "inputSchema": {}}]}))


def in_thread(run, *, timeout_seconds: float | None = None) -> Thread:
    thread = Thread(target=giving_back(run))
    thread.start()
    thread.join(timeout_seconds)
    return thread


@pytest.fixture
def peer():
    peer = Interrupted()
    with scripted(None, **{"tools/list": peer.list_tools}) as script:
        peer.url = script.url
        yield peer


def active() -> list[str]:
    return list(Tool.objects.filter(is_active=True).values_list("name", flat=True))


@pytest.mark.parametrize("is_first", [True, False], ids=["first", "later"])
def test_lists_sent_during_a_refresh_in_the_background_stay(api, register, peer, is_first):
    path = f"{SERVERS}/{register(url=peer.url)['id']}/refresh"
    if not is_first:
        background_refresh.refresh_due(timezone.now())
    given = {"tools": [{"name": "given"}]}
    peer.while_asked = lambda: ApiClient(api.key).send("POST", path, given)
    assert background_refresh.refresh_due(timezone.now() + LATER) is True
    assert active() == ["given"]
    assert background_refresh.refresh_due(timezone.now() + LATER) is False
    assert Server.objects.get().has_given_lists is True


def test_lists_sent_during_a_refresh_for_an_unknown_tool_stay(api, register, peer, ask):
    path = f"{SERVERS}/{register(url=peer.url)['id']}/refresh"
    given = {"tools": [{"name": "given"}]}
    peer.while_asked = lambda: ApiClient(api.key).send("POST", path, given)
    ask("tools/call", expect=400, name="calc__other")
    assert active() == ["given"]


def test_refresh_on_demand_replaces_lists_sent_meanwhile(api, register, peer):
    path = f"{SERVERS}/{register(url=peer.url)['id']}/refresh"
    given = {"tools": [{"name": "given"}]}
    peer.while_asked = lambda: ApiClient(api.key).send("POST", path, given)
    api.send("POST", path)
    assert active() == ["own"]
    assert Server.objects.get().has_given_lists is False


CHANGES = [
    {"auth_config": {"type": "bearer", "token": "a-new-token"}},
    {"legacy": True},
    {"is_active": True},
]


@pytest.mark.parametrize("minutes", [15, 0])
@pytest.mark.parametrize("change", CHANGES, ids=["credentials", "legacy", "active"])
def test_server_that_changes_during_its_refresh_is_due_again(
    api, register, peer, settings, change, minutes
):
    settings.MCP_REFRESH_MINUTES = minutes
    path = f"{SERVERS}/{register(url=peer.url)['id']}"
    peer.while_asked = lambda: ApiClient(api.key).send("PATCH", path, change)
    assert background_refresh.refresh_due(timezone.now()) is True
    assert background_refresh.refresh_due(timezone.now() + SOON) is True
    assert background_refresh.refresh_due(timezone.now() + SOON) is False


def test_notice_during_a_refresh_is_followed_but_not_at_once(register, peer):
    server = register(url=peer.url)
    background_refresh.refresh_due(timezone.now())
    Server.objects.update(refreshed_at=timezone.now() - LATER, next_refresh_at=timezone.now())

    def notify():
        changed_servers.add(server["id"])
        background_refresh.mark_changed()

    peer.while_asked = notify
    assert background_refresh.refresh_due(timezone.now()) is True
    assert background_refresh.refresh_due(timezone.now()) is False
    assert background_refresh.refresh_due(timezone.now() + SOON) is True
    assert background_refresh.refresh_due(timezone.now() + SOON) is False


class TakenMeanwhile(SimpleQueue):
    """A queue whose last item another thread takes as soon as this one has looked for it."""

    def empty(self) -> bool:
        return False


def test_notice_that_another_thread_follows_is_not_waited_for(monkeypatch):
    servers = ChangedServers()
    monkeypatch.setattr(servers, "_ids", TakenMeanwhile())
    taking = Thread(target=servers.take, daemon=True)
    taking.start()
    taking.join(5)
    assert not taking.is_alive()


@pytest.fixture
def moving(api, register):
    """A function: executes a tool of a server that moves, and then answers by `behave`."""

    def execute(behave) -> Server:
        def call(link, message, head):
            in_thread(lambda: ApiClient(api.key).send("PATCH", path, {"url": ELSEWHERE}))
            behave(link, message)

        with scripted(call) as script:
            path = f"{SERVERS}/{register(url=script.url)['id']}"
            tool = {"server_id": path.rpartition("/")[2], "name": "t", "input_schema": {}}
            id = api.send("POST", "/api/v1/mcp/tools", tool)["id"]
            api.send("POST", f"/api/v1/mcp/tools/{id}/execute", {"input": {}})
        return Server.objects.get()

    return execute


ELSEWHERE = "http://localhost:9/elsewhere"


def test_failure_of_a_former_address_says_nothing_of_the_new_one(moving):
    row = moving(lambda link, message: link.close())
    assert (row.url, row.reachable, row.last_error) == (ELSEWHERE, None, "")


def test_revision_of_a_former_address_says_nothing_of_the_new_one(moving):
    row = moving(lambda link, message: link.sendall(result(message, {"content": []})))
    assert (row.reachable, row.protocol_version) == (None, "")


def test_what_a_refresh_left_out_outlasts_a_call_that_began_before_it(api, register, peer):
    def call(link, message, head) -> None:
        in_thread(lambda: ApiClient(api.key).send("POST", f"{path}/refresh"))
        link.sendall(result(message, {"content": []}))

    with scripted(call, **{"tools/list": one_without_schema}) as script:
        path = f"{SERVERS}/{register(url=script.url)['id']}"
        tool = {"server_id": path.rpartition("/")[2], "name": "t", "input_schema": {}}
        id = api.send("POST", "/api/v1/mcp/tools", tool)["id"]
        assert Server.objects.get().reachable is None
        api.send("POST", f"/api/v1/mcp/tools/{id}/execute", {"input": {}})
    row = Server.objects.get()
    assert (row.reachable, row.last_error) == (True, "'odd' left out (inputSchema is missing)")


def one_without_schema(link, message, head) -> None:
    link.sendall(result(message, {"tools": [{"name": "odd"}]}))


def test_secret_kept_by_one_change_is_not_sent_where_another_one_moves(api, register, monkeypatch):
    server = register(auth_config={"type": "bearer", "token": "a-very-secret-token-1234"})
    path = f"{SERVERS}/{server['id']}"
    columns, threads = registration._columns, []

    def move() -> None:
        ApiClient(api.key).send("PATCH", path, {"url": "https://evil.test/", "auth_config": {}})

    def interrupted(*args, **options):
        found = columns(*args, **options)
        if not threads:
            threads.append(None)
            threads.append(in_thread(move, timeout_seconds=0.5))
        return found

    monkeypatch.setattr(registration, "_columns", interrupted)
    api.send("PATCH", path, {"auth_config": server["auth_config"]})  # masked, as it was read
    threads[1].join()
    row = Server.objects.get()
    assert (row.url, row.auth_config) == ("https://evil.test/", None)


def test_servers_of_an_archived_project_are_not_called(api, register, peer):
    register(url=peer.url)
    Project.objects.filter(id=api.project.id).update(archived_at=timezone.now())
    assert background_refresh.refresh_due(timezone.now()) is False
    Project.objects.filter(id=api.project.id).update(archived_at=None)
    assert background_refresh.refresh_due(timezone.now()) is True
