"""Rows of the models that the demo has none of, so that each list and each form of the admin has
one to show. Run by `manage shell` of the server that is looked at.
"""

from datetime import UTC, datetime, timedelta

from django.contrib.auth.models import Group
from django.db import connection
from django.utils import timezone

from accounts.models import Membership, Project, User
from core.ids import uuid7
from gateway import tokens
from gateway.models import CachedAnswer, Call, CallState, Upstream, UpstreamKey, Worker
from mcp.models import Prompt, Resource, Server
from registry_proxy.models import CustomPrice

project = Project.objects.order_by("id").first()
Group.objects.create(name="auditors")
Membership.objects.create(project=project, user=User.objects.get(), role="owner")
CustomPrice.objects.create(
    provider="in-house",
    model="*",
    prices={"input": "1", "output": "2"},
    valid_from=datetime(2026, 1, 1, tzinfo=UTC),
)

server = Server.objects.first()
owner = {"project_id": server.project_id, "server": server}
Resource.objects.create(**owner, uri="file:///notes", name="notes")
Prompt.objects.create(**owner, name="greeting")

upstream = Upstream.objects.create(name="groq", base_url="https://api.groq.com/openai/v1")
UpstreamKey.objects.create(
    project=project, upstream=upstream.name, **UpstreamKey.columns_of("sk-" + "1" * 40)
)
token, _ = tokens.issue(project, name="app", expires_at=None)
# The server deletes workers without a heartbeat.
with connection.cursor() as cursor:
    cursor.execute("CREATE RULE kept AS ON DELETE TO gateway_workers DO INSTEAD NOTHING")
worker = Worker.objects.create(id=uuid7(), host="here", process_id=1)
Call.objects.create(
    id=token.id,
    project_id=project.id,
    token_id=token.id,
    allowance_id=token.allowance_id,
    worker_id=worker.id,
    state=CallState.UNKNOWN,
    started_at=timezone.now(),
    reserved_usd="0.01",
    upstream=upstream.name,
    row={"provider": "groq", "model": "m"},
)
CachedAnswer.objects.create(
    project_id=project.id,
    upstream=upstream.name,
    method="GET",
    url="/v1/models",
    digest=b"",
    varies_by=[],
    variant=b"",
    status=200,
    headers=[["Content-Type", "application/json"]],
    body=b"{}",
    size=2,
    age=0,
    stored_at=timezone.now(),
    expires_at=timezone.now() + timedelta(days=1),
)
