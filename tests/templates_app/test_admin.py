import pytest

from accounts.models import User
from templates_app.models import ConversationTemplate
from tests.templates_app.test_templates import PATH, make

LIST = "/admin/templates_app/conversationtemplate/"
FORM = {
    "name": "shared",
    "description": "",
    "system_prompt": "Hello {{who}}",
    "messages": '[{"role": "user", "content": "x"}]',
    "variables": '{"who": "you"}',
    "model": "m",
    "temperature": "0.5",
    "max_tokens": "",
    "tool_config": "{}",
    "created_by": "",
    "is_active": "on",
}


@pytest.fixture
def admin(client, db_all):
    client.force_login(
        User.objects.create_superuser("admin"), backend="django.contrib.auth.backends.ModelBackend"
    )
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
        ("messages", '{"a": 1}'),
        ("messages", '[{"role": "robot", "content": "x"}]'),
        ("variables", "[]"),
        ("variables", '{"a b": "x"}'),
        ("temperature", "3"),
        ("max_tokens", "0"),
    ],
)
def test_shapes_that_the_api_does_not_know_are_refused(admin, name, value):
    response = admin.post(f"{LIST}add/", {**FORM, name: value})
    assert response.status_code == 200
    assert response.context["adminform"].errors[name]
    assert not ConversationTemplate.objects.exists()


def test_templates_are_listed_changed_and_never_deleted(admin, api):
    made = make(api, "mine")
    assert "mine" in admin.get(LIST, {"q": "mine"}).content.decode()
    assert admin.post(f"{LIST}{made['id']}/change/", {**FORM, "is_active": ""}).status_code == 302
    api.read(f"{PATH}/{made['id']}", expect=404)
    assert ConversationTemplate.objects.get().project_id == api.project.id
    assert admin.post(f"{LIST}{made['id']}/delete/", {"post": "yes"}).status_code == 403
