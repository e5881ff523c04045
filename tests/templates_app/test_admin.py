import re
from html import unescape

import pytest
from django.contrib.auth.models import Permission

from accounts.models import User
from templates_app.models import ConversationTemplate, TemplateVersion
from tests.templates_app.test_templates import PATH, make

LIST = "/admin/templates_app/conversationtemplate/"
FORM = {
    "name": "shared",
    "description": "",
    "system_prompt": "Hello {{who}}",
    "messages-role": ["user"],
    "messages-content": ["x"],
    "messages-kind": ["text"],
    "messages-members": [""],
    "variables-name": ["who"],
    "variables-kind": ["text"],
    "variables-default": ["you"],
    "model": "m",
    "temperature": "0.5",
    "max_tokens": "",
    "tool_config": "{}",
    "created_by": "",
    "is_active": "on",
}


@pytest.fixture
def admin(client, db_all):
    client.force_login(User.objects.create_superuser("admin"))
    return client


def test_template_added_here_is_global(admin, api):
    assert admin.post(f"{LIST}add/", FORM).status_code == 302
    (row,) = api.read(PATH)
    assert (row["is_global"], row["variables"], row["created_by"]) == (True, {"who": "you"}, None)
    assert api.send("POST", f"{PATH}/{row['id']}/use", {"values": {}})["rendered"] == {
        "system_prompt": "Hello you",
        "messages": [{"role": "user", "content": "x"}],
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("messages-role", "robot"),
        ("messages-members", "[]"),
        ("messages-members", "{"),
        ("messages-members", '{"a": NaN}'),
        ("messages-members", '{"a": "\\ud800"}'),
        ("messages-members", '{"a": 1e400}'),
        ("variables-name", "a b"),
        ("temperature", "3"),
        ("max_tokens", "0"),
        ("tool_config", '{"a": NaN}'),
        ("tool_config", '{"a": "\\ud800"}'),
    ],
)
def test_shapes_that_the_api_does_not_know_are_refused(admin, name, value):
    response = admin.post(f"{LIST}add/", {**FORM, name: value})
    assert response.status_code == 200
    assert response.context["adminform"].errors[name.partition("-")[0]]
    assert not ConversationTemplate.objects.exists()


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e400", "", "0x1", "1_000"])
def test_default_that_is_no_number_is_refused(admin, number):
    number = {"variables-kind": "number", "variables-default": number}
    response = admin.post(f"{LIST}add/", {**FORM, **number})
    assert "is not a number" in str(response.context["adminform"].errors["variables"])
    assert not ConversationTemplate.objects.exists()


def test_default_becomes_a_number_where_it_was_a_truth_value(admin, api):
    id = make(api, "mine", variables={"who": True})["id"]
    change(admin, id, **{"variables-kind": "number", "variables-default": "1"})
    assert api.read(f"{PATH}/{id}")["variables"]["who"] is not True


def test_templates_are_listed_changed_and_never_deleted(admin, api):
    made = make(api, "mine")
    assert "mine" in admin.get(LIST, {"q": "mine"}).content.decode()
    assert admin.post(f"{LIST}{made['id']}/change/", {**FORM, "is_active": ""}).status_code == 302
    api.read(f"{PATH}/{made['id']}", expect=404)
    assert ConversationTemplate.objects.get().project_id == api.project.id
    assert admin.post(f"{LIST}{made['id']}/delete/", {"post": "yes"}).status_code == 403


def test_list_names_the_projects_of_templates(admin, api, project):
    make(api)
    admin.post(f"{LIST}add/", FORM)
    html = admin.get(LIST).content.decode()
    shown = re.findall(r'class="field-project [^>]*>(.*?)</td>', html, re.DOTALL)
    assert len(shown) == 2 and "-" in (each.strip() for each in shown)
    assert f"/admin/accounts/project/{project.id}/change/" in html and ">ours</a>" in html


def change(admin, id: str, **fields):
    page = admin.get(f"{LIST}{id}/change/").content.decode()
    loaded_at = re.search(r'name="loaded_at" value="([^"]*)"', page)[1]
    return admin.post(f"{LIST}{id}/change/", {**FORM, "loaded_at": loaded_at, **fields})


def test_b6_second_of_two_saves_is_refused_and_shows_both(admin, api):
    id = make(api, "mine", system_prompt="first")["id"]
    page = admin.get(f"{LIST}{id}/change/").content.decode()
    token = {"loaded_at": re.search(r'name="loaded_at" value="([^"]*)"', page)[1]}
    path = f"{LIST}{id}/change/"
    assert admin.post(path, {**FORM, **token, "system_prompt": "ada"}).status_code == 302
    refused = admin.post(path, {**FORM, **token, "system_prompt": "bob"})
    html = refused.content.decode()
    assert refused.status_code == 200 and "Somebody else saved" in html
    assert "-system_prompt: ada" in html and "+system_prompt: bob" in html
    assert ConversationTemplate.objects.get().system_prompt == "ada"
    token = {"loaded_at": re.search(r'name="loaded_at" value="([^"]*)"', html)[1]}
    assert admin.post(path, {**FORM, **token, "system_prompt": "bob"}).status_code == 302
    assert ConversationTemplate.objects.get().system_prompt == "bob"
    texts = [version.members["system_prompt"] for version in TemplateVersion.objects.all()]
    assert texts == ["ada", "first"]


def test_b6_versions_stay_as_they_were_and_come_back(admin, api):
    id = make(api, "mine", system_prompt="one")["id"]
    api.send("PUT", f"{PATH}/{id}", {"system_prompt": "two"})
    api.send("PUT", f"{PATH}/{id}", {"system_prompt": "two"})  # nothing changes
    change(admin, id, system_prompt="three")
    versions = list(TemplateVersion.objects.order_by("number"))
    assert [(v.number, v.members["system_prompt"]) for v in versions] == [(1, "one"), (2, "two")]
    assert versions[0].replaced_by == f"key {api.api_key_id}"
    page = admin.get(f"{LIST}{id}/versions/1/").content.decode()
    assert "-system_prompt: one" in page and "+system_prompt: three" in page
    assert admin.post(f"{LIST}{id}/versions/1/").status_code == 302
    assert api.read(f"{PATH}/{id}")["system_prompt"] == "one"
    texts = [v.members["system_prompt"] for v in TemplateVersion.objects.order_by("number")]
    assert texts == ["one", "two", "three"]
    assert admin.get(f"{LIST}{id}/versions/9/").status_code == 404


def test_no_version_comes_back_whose_history_cannot_be_written(admin, api, monkeypatch):
    id = make(api, "mine", system_prompt="one")["id"]
    api.send("PUT", f"{PATH}/{id}", {"system_prompt": "two"})
    monkeypatch.delattr("django.contrib.admin.models.LogEntryManager.log_actions")
    admin.raise_request_exception = False
    assert admin.post(f"{LIST}{id}/versions/1/").status_code == 500
    assert api.read(f"{PATH}/{id}")["system_prompt"] == "two"
    assert TemplateVersion.objects.count() == 1


def preview(admin, **fields) -> str:
    response = admin.post(f"{LIST}preview/", {**FORM, **fields})
    assert response.status_code == 200
    return unescape(response.content.decode())


def test_b6_preview_fills_once_and_names_what_is_wrong(admin):
    texts = {
        "system_prompt": "A {{who}}, {{other}} and {{name}",
        "messages-content": ["Dear {{needed}}"],
        "variables-name": ["who", "needed"],
        "variables-kind": ["text", "required"],
        "variables-default": ["you", ""],
    }
    html = preview(admin, **texts)
    assert "A you, {{other}} and {{name}" in html and "Dear {{needed}}" in html
    assert "Missing: <b>needed</b>" in html and "Not declared: <b>other</b>" in html
    assert "Not closed: <code>{{name}</code>" in html
    value = '{{other}} "q" {{who}}\nnext'
    html = preview(admin, **texts, **{"value:needed": value, "value:who": "<b>"})
    assert f"Dear {value}" in html and "Missing" not in html
    assert not ConversationTemplate.objects.exists()


def test_preview_of_a_long_placeholder_takes_no_time(admin):
    """Looking for its end anew from each of its characters would take a minute."""
    assert "Not closed" not in preview(admin, system_prompt="{{" + 100_000 * "a" + "}}")


def test_preview_of_an_invalid_form_says_what_is_wrong(admin):
    assert "3" in preview(admin, temperature="3") and "less than or equal to 2" in preview(
        admin, temperature="3"
    )
    assert admin.get(f"{LIST}preview/").status_code == 404


def test_messages_keep_what_the_form_has_no_input_for(admin, api):
    parts = [{"type": "text", "text": "a"}]
    calls = [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]
    messages = [
        {"role": "user", "content": parts},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "content": "x", "tool_call_id": "1"},
    ]
    variables = {"n": 12345678901234567890, "f": 0.5, "t": True, "s": "x", "r": None}
    id = make(api, "mine", messages=messages, variables=variables)["id"]
    page = admin.get(f"{LIST}{id}/change/").content.decode()
    form = {"loaded_at": re.search(r'name="loaded_at" value="([^"]*)"', page)[1]}
    for name in ("content", "members"):
        found = re.findall(rf'<textarea name="messages-{name}"[^>]*>\n(.*?)</textarea>', page, re.S)
        form[f"messages-{name}"] = [unescape(text) for text in found]
    for name in ("messages-role", "messages-kind", "variables-kind"):
        selects = re.findall(rf'<select name="{name}".*?</select>', page, re.S)
        chosen = [re.findall(r'value="(\w+)" selected', select) or [""] for select in selects]
        form[name] = [values[0] for values in chosen]
    form["variables-name"] = re.findall(r'name="variables-name" value="([^"]*)"', page)
    defaults = r'<textarea name="variables-default"[^>]*>\n(.*?)</textarea>'
    form["variables-default"] = [unescape(text) for text in re.findall(defaults, page, re.S)]
    admin.post(f"{LIST}{id}/change/", {**FORM, "name": "mine", **form})
    stored = ConversationTemplate.objects.get()
    assert stored.messages == messages and stored.variables == variables


def test_b5_who_may_only_look_cannot_save_preview_or_go_back(client, api):
    id = make(api, "mine", system_prompt="one")["id"]
    api.send("PUT", f"{PATH}/{id}", {"system_prompt": "two"})
    user = User.objects.create_user("looker", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(user)
    page = client.get(f"{LIST}{id}/change/").content.decode()
    assert "hx-post" not in page and "versions/1/" in page
    assert "Use this version" not in client.get(f"{LIST}{id}/versions/1/").content.decode()
    for path in (
        f"{LIST}{id}/change/",
        f"{LIST}add/",
        f"{LIST}preview/",
        f"{LIST}{id}/versions/1/",
    ):
        assert client.post(path, FORM).status_code == 403, path
    assert ConversationTemplate.objects.get().system_prompt == "two"
