"""Conversations in the admin: searchable, readable as a chat, never changed."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.html import escape

from accounts.models import User
from conversations import chat
from conversations.models import Message
from tests.conversations.test_privacy import MESSAGE, SECRET

LIST = "/admin/conversations/conversation/"


@pytest.fixture
def admin(client, db_all):
    client.force_login(User.objects.create_superuser("admin"))
    return client


def text(admin, path, query=None) -> str:
    response = admin.get(path, query)
    assert response.status_code == 200
    return response.content.decode()


def conversation(api, *messages, **members) -> str:
    id = api.send("POST", "/conversations", members)["id"]
    if messages:
        api.send("POST", f"/conversations/{id}/messages/batch", list(messages))
    return id


def test_conversation_reads_as_a_chat(admin, api):
    id = conversation(
        api,
        {"role": "system", "content": "Be <b>brief</b>."},
        {"role": "user", "content": "word " * 5000},
        {"role": "assistant", "content": [{"type": "text", "text": "parts"}]},
        {"role": "tool", "content": "42", "tool_results": [{"n": 42}]},
        title="A chat",
    )
    html = text(admin, f"{LIST}{id}/change/")
    roles = re.findall(r'<article class="chat-message chat-(\w+)"', html)
    assert roles == ["system", "user", "assistant", "tool"]
    assert "Be &lt;b&gt;brief&lt;/b&gt;." in html
    assert "the rest, 24400 characters" in html
    assert "tool results" in html


def test_long_chats_are_shown_in_pages(admin, api, monkeypatch):
    monkeypatch.setattr(chat, "MESSAGES_PER_PAGE", 2)
    id = conversation(api, *({"role": "user", "content": f"text-{n}"} for n in range(5)))
    path = f"{LIST}{id}/change/"

    def texts(query):
        return re.findall(r'<div class="chat-text">(text-\d)', text(admin, path, query))

    assert texts({}) == ["text-3", "text-4"]
    assert "?before=4" in text(admin, path)
    assert texts({"before": 4}) == ["text-1", "text-2"]
    assert texts({"after": 1}) == ["text-1", "text-2"]
    assert texts({"before": "nonsense"}) == ["text-3", "text-4"]


def test_what_privacy_hides_stays_hidden(admin, api, settings):
    settings.MESSAGE_LOGGING_LEVEL = "metadata"
    id = conversation(api, MESSAGE)
    html = text(admin, f"{LIST}{id}/change/")
    assert "Not stored: privacy level" in html
    assert SECRET not in html
    assert "(not stored)" in text(admin, "/admin/conversations/message/")


def test_words_and_ids_are_searched(admin, api, other_api):
    id = conversation(api, {"role": "user", "content": "zebra"}, title="first-title")
    conversation(other_api, {"role": "user", "content": "lion"}, title="other-title")
    for term in ("zebra", "FIRST", id, str(api.project.id)):
        html = text(admin, LIST, {"q": term})
        assert "first-title" in html
        assert "other-title" not in html
    assert "first-title" not in text(admin, LIST, {"q": "'; drop"})
    message = api.read(f"/conversations/{id}/messages")[0]["id"]
    for term in (message, id):
        assert "zebra" in text(admin, "/admin/conversations/message/", {"q": term})


def test_message_of_a_provider_is_shown_with_its_numbers(admin, api):
    id = api.send("POST", "/conversations", {})["id"]
    body = '{"role": "tool", "tool_call_id": "c1", "refusal": "no", "n": 0.12345678901234567891}'
    message = api.send("POST", f"/conversations/{id}/messages", body)["id"]
    for page in (f"{LIST}{id}/change/", f"/admin/conversations/message/{message}/change/"):
        html = text(admin, page)
        assert "refusal" in html and "0.12345678901234567891" in html and "c1" in html
    assert "(none)" in text(admin, "/admin/conversations/message/")


def test_one_message_is_shown_with_all_it_has(admin, api):
    id = conversation(api, MESSAGE)
    message = api.read(f"/conversations/{id}/messages")[0]["id"]
    html = text(admin, f"/admin/conversations/message/{message}/change/")
    assert "model_used" in html
    assert f"{LIST}{id}/change/" in html


@pytest.mark.parametrize("model", ["conversation", "message"])
def test_nothing_is_added_changed_or_deleted(admin, api, model):
    id = conversation(api, MESSAGE)
    pk = id if model == "conversation" else api.read(f"/conversations/{id}/messages")[0]["id"]
    for action in ("add", f"{pk}/change", f"{pk}/delete"):
        assert admin.post(f"/admin/conversations/{model}/{action}/").status_code == 403


@pytest.mark.parametrize("path", [LIST, "/admin/conversations/message/"])
def test_lists_take_the_same_queries_for_many(admin, api, path):
    def queries():
        with CaptureQueriesContext(
            connection,
        ) as captured:
            text(admin, path)
        return len(captured)

    conversation(api, MESSAGE)
    few = queries()
    for _ in range(5):
        conversation(api, MESSAGE, MESSAGE)
    assert queries() == few


MARKDOWN = """# Title

**bold** `code` [report](/admin/logout/) [x](javascript:alert(1)) [d](data:text/html,x)
[site](https://example.com/a?b=1) ![p](https://example.invalid/p.png?d=1)

<style>body{display:none}</style>
<form action="/admin/logout/">

```python
print("<b>")
"""


def test_b3_markdown_is_shown_and_harmless(admin, api):
    wide = "|".join(f"c{n}" for n in range(200))
    table = f"|{wide}|\n|{'-|' * 200}\n|{wide}|"
    id = conversation(
        api, {"role": "user", "content": MARKDOWN}, {"role": "assistant", "content": table}
    )
    html = text(admin, f"{LIST}{id}/change/")
    shown = "".join(re.findall(r'<div class="chat-formatted">(.*?)</div>', html, re.DOTALL))
    assert "<h1>Title</h1>" in shown and "<strong>bold</strong> <code>code</code>" in shown
    assert "print(&quot;&lt;b&gt;&quot;)" in shown and shown.count("<td>") == 200
    assert re.findall(r'<a href="([^"]+)"', shown) == [
        "https://example.com/a?b=1",
        "https://example.invalid/p.png?d=1",  # to be clicked, not fetched
    ]
    assert shown.count('rel="noopener noreferrer"') == 2
    assert "site (https://example.com/a?b=1)</a>" in shown  # where it leads
    assert "[report](/admin/logout/)" in shown and "[x](javascript:alert(1))" in shown
    for tag in ("<img", "<style", "<form", "<script"):
        assert tag not in shown
    assert escape(MARKDOWN) in html  # as it was stored


def test_messages_say_model_cost_latency_and_tools(admin, api):
    metadata = {"model": "gpt-4o", "cost": 0.000000000001, "latency_ms": 1234}
    tools = [{"id": "1", "function": {"name": "weather", "arguments": "{}"}}, {"name": "clock"}]
    id = conversation(
        api,
        {"role": "assistant", "content": "It rains.", "metadata": metadata, "input_tokens": 12345},
        {"role": "assistant", "content": None, "tool_calls": tools},
        {"role": "assistant", "content": "?", "metadata": {"cost": 0, "cost_source": "unpriced"}},
    )
    html = text(admin, f"{LIST}{id}/change/")
    assert "gpt-4o</span>" in html and "1,234 ms" in html and "12,345 in" in html
    assert "0.000000000001 USD" in html
    assert "No text: calls weather, clock" in html
    assert html.count("cost unknown") == 1


def test_text_that_takes_long_to_format_is_shown_as_it_is(admin, api):
    id = conversation(api, {"role": "user", "content": "[" * 50_000})
    assert "the rest, 49400 characters" in text(admin, f"{LIST}{id}/change/")


def test_messages_lead_to_their_project_and_key(admin, api):
    conversation(api, {"role": "user", "content": "x"})
    id = Message.objects.get().pk
    html = text(admin, f"/admin/conversations/message/{id}/change/")
    assert f'/admin/accounts/project/{api.project.id}/change/">{api.project.name}</a>' in html
    assert f"/admin/accounts/apikey/{api.api_key_id}/change/" in html
