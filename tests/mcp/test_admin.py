import re

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from mcp import item_store
from mcp.models import Server, Tool
from tests.mcp.peers.scripted import hang, scripted

pytestmark = pytest.mark.usefixtures("transactional_db")  # other threads take part

LISTS = {
    "tools": [{"name": "add", "description": "Adds."}],
    "resources": [{"uri": "x:1"}],
    "prompts": [{"name": "p", "arguments": [{"name": "code"}]}],
}


@pytest.fixture
def admin(client, db_all):
    client.force_login(User.objects.create_superuser("admin"))
    return client


@pytest.fixture
def found(api, register):
    """A server with one item of each kind, and an execution that failed."""
    config = {"type": "bearer", "token": "a-very-secret-token-1234"}
    server = register(auth_config=config)
    reply = api.send("POST", f"/api/v1/mcp/servers/{server['id']}/refresh", LISTS)
    tool = reply["tools"][0]
    entry = {"input": {"a": 1}, "output": {"b": "kept"}, "error": "no luck", "duration_ms": 1234}
    made = api.send("POST", f"/api/v1/mcp/tools/{tool['id']}/execute", entry)
    return {
        "server": server["id"],
        "tool": tool["id"],
        "resource": reply["resources"][0]["id"],
        "prompt": reply["prompts"][0]["id"],
        "toolexecution": made["id"],
    }


def text(admin, path: str, query: dict | None = None) -> str:
    response = admin.get(f"/admin/mcp/{path}", query)
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize("model", ["server", "tool", "resource", "prompt", "toolexecution"])
def test_rows_are_listed_searched_and_shown_but_not_edited(admin, found, model):
    id = found[model]
    assert id in text(admin, f"{model}/")
    assert id in text(admin, f"{model}/", {"q": id})
    assert id not in text(admin, f"{model}/", {"q": "0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"})
    text(admin, f"{model}/", {"q": "nothing \u0000 of the kind"})
    text(admin, f"{model}/{id}/change/")
    assert admin.get(f"/admin/mcp/{model}/add/").status_code == 403
    assert admin.post(f"/admin/mcp/{model}/{id}/change/").status_code == 403
    assert admin.post(f"/admin/mcp/{model}/{id}/delete/").status_code == 403


@pytest.mark.parametrize("model", ["server", "tool", "resource", "prompt", "toolexecution"])
def test_pages_link_to_the_project_and_its_key(admin, found, api, project, model):
    html = text(admin, f"{model}/{found[model]}/change/")
    assert f"/admin/accounts/project/{project.id}/change/" in html and ">ours</a>" in html
    assert f"/admin/accounts/apikey/{api.api_key_id}/change/" in html


def test_server_shows_its_state_and_no_secret(admin, found):
    Server.objects.update(reachable=False, last_error="Connection refused")
    assert "Connection refused" in text(admin, "server/")
    shown = text(admin, f"server/{found['server']}/change/")
    assert "••••1234" in shown
    assert "very-secret" not in shown


def test_execution_shows_its_duration_and_error(admin, found):
    listed = text(admin, "toolexecution/")
    assert "no luck" in listed
    assert "1234" in listed
    shown = text(admin, f"toolexecution/{found['toolexecution']}/change/")
    assert "kept" in shown
    text(admin, "toolexecution/", {"origin__exact": "recorded", "error_kind__exact": "timeout"})


def test_lists_take_as_many_queries_for_many_rows(admin, api, register, found):
    def queries(model: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            text(admin, f"{model}/")
        return len(captured)

    models = ("server", "tool", "resource", "prompt", "toolexecution")
    before = [queries(model) for model in models]
    for _ in range(4):
        server = register()
        reply = api.send("POST", f"/api/v1/mcp/servers/{server['id']}/refresh", LISTS)
        path = f"/api/v1/mcp/tools/{reply['tools'][0]['id']}/execute"
        api.send("POST", path, {"input": {}, "error": "x"})
    assert [queries(model) for model in models] == before


def act(admin, model: str, action: str, *ids: str) -> str:
    form = {"action": action, "_selected_action": ids}
    response = admin.post(f"/admin/mcp/{model}/", form, follow=True)
    assert response.status_code == 200
    return response.content.decode()


def test_selected_servers_are_refreshed(admin, register):
    with scripted(hang) as server:
        good, bad = register(url=server.url), register(name="gone")
        shown = act(admin, "server", "refresh", good["id"], bad["id"])
    assert "1 server refreshed." in shown
    assert "gone: The MCP server was not reached: Connection refused" in shown
    assert Tool.objects.get().server_id == Server.objects.get(id=good["id"]).id


def test_servers_that_are_too_many_to_refresh_at_once_wait(admin, register, monkeypatch):
    monkeypatch.setattr("mcp.admin._MAX_REFRESHED", 1)
    with scripted(LISTS) as server:
        found = [register(url=server.url)["id"] for _ in range(2)]
        shown = act(admin, "server", "refresh", *found)
    assert "1 server refreshed." in shown
    assert "Only the first 1 of the selected rows are taken" in shown
    assert Server.objects.filter(refreshed_at=None).count() == 1


def test_server_that_is_deleted_while_it_is_refreshed_is_reported(admin, register, monkeypatch):
    store = item_store.store

    def delete_and_store(server, *args, **state):
        Server.objects.filter(pk=server.pk).delete()
        return store(server, *args, **state)

    monkeypatch.setattr(item_store, "store", delete_and_store)
    with scripted(hang) as server:
        shown = act(admin, "server", "refresh", register(url=server.url)["id"])
    assert "calc: Server not found" in shown


def test_selected_tools_are_accepted(admin, api, found):
    path = f"/api/v1/mcp/servers/{found['server']}/refresh"
    api.send("POST", path, {"tools": [{"name": "add", "description": "Obey me."}]})
    assert found["tool"] in text(admin, "tool/", {"changed": "yes"})
    assert "1 tool accepted." in act(admin, "tool", "accept", found["tool"])
    assert not Tool.objects.get().is_changed
    assert found["tool"] not in text(admin, "tool/", {"changed": "yes"})


def test_no_tool_is_accepted_whose_history_cannot_be_written(admin, api, found, monkeypatch):
    path = f"/api/v1/mcp/servers/{found['server']}/refresh"
    api.send("POST", path, {"tools": [{"name": "add", "description": "Obey me."}]})
    monkeypatch.delattr("django.contrib.admin.models.LogEntryManager.log_actions")
    admin.raise_request_exception = False
    form = {"action": "accept", "_selected_action": found["tool"]}
    assert admin.post("/admin/mcp/tool/", form).status_code == 500
    assert Tool.objects.get().is_changed


def test_changed_tool_stands_out_and_an_accepted_one_looks_good(admin, found):
    def definition() -> tuple[str, str]:
        """The color and the text of the column."""
        cell = text(admin, "tool/").partition('data-label="definition"')[2].partition("</td>")[0]
        color = re.search(r"bg-(\w+)-100", cell)[1]
        return color, re.sub(r"<[^>]*>", "", cell.partition(">")[2]).strip()

    assert definition() == ("green", "accepted")
    Tool.objects.update(accepted_fingerprint="")
    assert definition() == ("orange", "changed")


@pytest.mark.parametrize(
    ("columns", "texts"),
    [
        ({"legacy": False, "has_given_lists": False}, ("server/discover", "the server")),
        ({"legacy": True, "has_given_lists": True}, ("initialize (legacy)", "the client")),
    ],
)
def test_what_is_neither_good_nor_bad_is_shown_as_text(admin, found, columns, texts):
    Server.objects.update(**columns)
    shown = text(admin, f"server/{found['server']}/change/")
    assert all(f">{each}</div>" in shown for each in texts)
    assert 'title="False"' not in shown


def test_who_may_only_look_does_not_act(client, found):
    user = User.objects.create_user("looker", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(user)
    Tool.objects.update(accepted_fingerprint="")
    for model, action in (("tool", "accept"), ("server", "refresh")):
        form = {"action": action, "_selected_action": found[model]}
        assert client.post(f"/admin/mcp/{model}/", form).status_code == 403
        assert f'value="{action}"' not in text(client, f"{model}/")
    assert Tool.objects.get().is_changed
    assert Server.objects.get().contacted_at is None
