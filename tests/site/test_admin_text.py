"""Text from outside stays text on every list and detail page of the admin."""

import json
import re
from html import unescape

import pytest
from django.contrib import admin
from django.urls import reverse

from accounts.models import Project
from tests.staff import superuser

ODD = (
    '<img src=x onerror=alert(1)> </script><script>alert(1)</script> "><svg onload=alert(1)> '
    "{{7*7}} ${7*7}"
)
_NEVER = ("<img src=x", "<script>alert(1)", "<svg onload")


@pytest.fixture
def root(db_all):
    return superuser()


@pytest.fixture
def odd_rows(api):
    """A row of every kind that takes text from outside, each full of markup."""
    Project.objects.update(name=ODD)
    conversation = api.send("POST", "/conversations", {"title": ODD, "model_alias": ODD})["id"]
    message = {"role": "user", "content": ODD, "name": ODD, "metadata": {"model": ODD}}
    api.send("POST", f"/conversations/{conversation}/messages", message)
    call = {"provider": ODD[:50], "model": ODD, "input_tokens": 1, "output_tokens": 1}
    labels = {"alias": ODD, "origin": ODD, "id_at_origin": ODD, "user": ODD, "event_id": ODD}
    api.send("POST", "/api/v1/log", {**call, **labels, "metadata": {ODD: ODD}})
    template = {"name": ODD, "system_prompt": ODD, "messages": [{"role": "user", "content": ODD}]}
    template = api.send("POST", "/api/v1/templates", {**template, "variables": {"a": ODD}})
    api.send("PUT", f"/api/v1/templates/{template['id']}", {"system_prompt": "x"})
    api.send("POST", "/api/v1/aliases/bind", {"alias": "a", "model": ODD, "metadata": {"a": ODD}})
    server = {"name": ODD, "url": "https://mcp.example.invalid/mcp", "transport_type": "http"}
    server = api.send("POST", "/api/v1/mcp/servers", server)["id"]
    item = {"name": ODD, "description": ODD}
    lists = {"tools": [item], "prompts": [item], "resources": [{**item, "uri": "x:1"}]}
    tool = api.send("POST", f"/api/v1/mcp/servers/{server}/refresh", lists)["tools"][0]["id"]
    execution = {"input": {"a": ODD}, "output": {"b": ODD}, "error": ODD}
    api.send("POST", f"/api/v1/mcp/tools/{tool}/execute", execution)
    price = {"provider": "p", "model": ODD, "note": ODD, "prices": {"input": "1"}}
    api.send("POST", "/api/v1/prices", price)
    return template["id"]


def details():
    """The pages of all rows."""
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
        yield from (reverse(name, args=[row.pk]) for row in model.objects.all()[:20])


def lists():
    for model in admin.site._registry:
        yield reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


@pytest.mark.slow
def test_b3_markup_is_never_markup(root, odd_rows):
    version = reverse("admin:templates_app_conversationtemplate_version", args=[odd_rows, 1])
    pages = [*lists(), *details(), version]
    shown = 0
    for path in pages:
        html = root.get(path).content.decode()
        for text in _NEVER:
            assert text not in html, path
        shown += "{{7*7}}" in unescape(html)
    assert shown > 20  # the text itself is there


@pytest.mark.slow
def test_b3_filters_searches_and_errors_stay_text(root, odd_rows):
    for query in ({"model__exact": ODD}, {"q": ODD}, {"alias__exact": ODD, "o": ODD}):
        reply = root.get(reverse("admin:usage_usagelog_changelist"), query)
        html = reply.content.decode()
        assert reply.status_code == 200 and ODD in unescape(html)
        assert not [text for text in _NEVER if text in html]
    for path in ("/admin/usage/usagelog/price/", "/admin/usage/usagelog/<img src=x>/"):
        html = root.get(path, {"provider": ODD, "model": ODD}, follow=True).content.decode()
        assert not [text for text in _NEVER if text in html]
    names = [root.get(f"/admin/usage/usagelog/export/csv/?model__exact={ODD}")]
    assert re.fullmatch(r'attachment; filename="[\w.-]+\.csv"', names[0]["Content-Disposition"])


def test_b3_file_names_are_plain(root, odd_rows):
    reply = root.get("/admin/usage/usagelog/export/ndjson/", {"alias__exact": ODD})
    lines = b"".join(reply.streaming_content).splitlines()
    assert [json.loads(line)["alias"] for line in lines] == [ODD]
