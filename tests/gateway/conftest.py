"""A gateway that is really served, its upstream, and a project with tokens."""

import threading
from decimal import Decimal

import pytest
import requests
import uvicorn
from django.utils import timezone

from aliases.bindings import Binding, bind
from core.ids import uuid7
from core.scoping import Caller
from gateway import tokens, upstream_config, upstream_keys, upstreams
from gateway.models import Call
from tests.client import ApiClient
from tests.gateway.upstream import ScriptedUpstream
from tests.registry_proxy import bundled_copy
from tests.server import free_port
from usage.models import UsageLog


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/gateway/" in str(item.fspath) and "gateway" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.django_db(transaction=True), append=False)


@pytest.fixture
def mock():
    with ScriptedUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="session")
def served():
    """The address of the production application, served by a thread of this process."""
    from core.database.group_commit import close_writers
    from core.lifespan import Lifespan
    from gateway import upstream_call
    from gateway.application import Gateway
    from llmring_site.application import edge
    from llmring_site.http_server.protocol import HttpProtocol

    async def close() -> None:
        await upstream_call.close()
        await close_writers()

    port = free_port()
    application = Lifespan(Gateway(edge), start=lambda: None, stop=close)
    config = uvicorn.Config(
        application, port=port, http=HttpProtocol, log_config=None, loop="asyncio"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        thread.join(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


class Gateway:
    """A client of the gateway, with a token of a project."""

    def __init__(self, url: str, project) -> None:
        self.url = url
        self.project = project
        self.token_row, self.token = self.issue()

    def issue(self, **limits):
        limits.setdefault("expires_at", None)
        return tokens.issue(self.project, **limits)

    def use(self, **limits) -> "Gateway":
        """Use another token from now on, with these limits."""
        self.token_row, self.token = self.issue(**limits)
        return self

    def bind_alias(self, alias: str, model: str) -> None:
        bind(Caller(project_id=self.project.id), "default", Binding(alias, model))

    def send(self, method: str, path: str, body=None, *, token=None, headers=None, **options):
        bearer = {"Authorization": f"Bearer {token or self.token}"}
        return requests.request(
            method,
            self.url + path,
            json=body,
            headers={**bearer, **(headers or {})},
            timeout=30,
            allow_redirects=False,
            **options,
        )

    def post(self, path: str, body=None, **options):
        return self.send("POST", path, body, **options)

    def get(self, path: str, **options):
        return self.send("GET", path, **options)

    def chat(self, model: str = "gpt-4o-mini", **members):
        options = {name: members.pop(name) for name in ("headers", "token") if name in members}
        body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], **members}
        return self.post("/v1/chat/completions", body, **options)

    def leave_call(self) -> Call:
        """A call whose process was killed before it had ever given a sign of life."""
        known = {"provider": "openai", "model": "gpt-4o-mini", "requested_model": "gpt-4o-mini"}
        return Call.objects.create(
            id=uuid7(timezone.now()),
            project_id=self.project.id,
            token_id=self.token_row.id,
            allowance_id=self.token_row.allowance_id,
            worker_id=uuid7(timezone.now()),
            started_at=timezone.now(),
            reserved_usd=0,
            upstream="openai",
            row=known,
        )

    @property
    def rows(self) -> list[UsageLog]:
        """The ledger, oldest first."""
        return list(UsageLog.objects.filter(project_id=self.project.id).order_by("id"))

    @property
    def row(self) -> UsageLog:
        """The only row of the ledger."""
        [row] = self.rows
        return row

    @property
    def pending(self) -> int:
        return Call.objects.filter(state="pending").count()

    @property
    def left(self) -> Decimal:
        """What is left of the token's budget."""
        return Decimal(self.get("/v1/token").json()["remaining"]["budget_usd"])


@pytest.fixture
def gateway(served, mock, project, settings):
    """The gateway, in front of the mock as OpenAI, with the bundled registry's prices."""
    bundled_copy.hold()
    settings.OPENAI_API_URL = mock.url
    settings.OPENAI_API_KEY = "sk-upstream-key-0123456789"
    upstreams.forget()
    yield Gateway(served, project)
    upstreams.forget()


def counts(row: UsageLog) -> tuple:
    """State, fresh prompt, read from a cache, output, reasoning."""
    fresh = None
    if row.input_tokens is not None:
        fresh = row.input_tokens - row.cached_input_tokens
    thinking = row.thinking_tokens or 0
    return row.usage_status, fresh, row.cached_input_tokens, row.output_tokens, thinking


@pytest.fixture
def upstreams_file(tmp_path, settings):
    """Configure upstreams by a YAML file with this text."""

    def write(text: str) -> None:
        file = tmp_path / "upstreams.yaml"
        file.write_text(text)
        settings.API_CONFIG_PATH = str(file)
        upstream_config.forget()
        upstreams.forget()

    yield write
    upstream_config.forget()
    upstreams.forget()


@pytest.fixture
def own_key(project):
    """Give the project, or another one, an upstream key of its own."""

    def give(key: str = "sk-own-key-0123456789", to=project, upstream: str = "openai") -> None:
        upstream_keys.set_keys(to, {upstream: key})

    return give


MANAGEMENT_TOKEN = "correct-horse-battery-staple"


def bearer(token: str) -> ApiClient:
    return ApiClient(headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
def manager(db_all, settings):
    settings.MANAGEMENT_TOKEN = MANAGEMENT_TOKEN
    return bearer(MANAGEMENT_TOKEN)


@pytest.fixture
def managed(manager):
    """A project as the management API shows it."""
    return manager.send(
        "POST", "/manage/projects", {"name": "My Project", "api_key": KEY}, expect=201
    )


KEY = "sk-proj-abcdefghijklmnopWXYZ"
MASKED = "sk-proj-...WXYZ"
