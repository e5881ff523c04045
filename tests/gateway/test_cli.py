"""`llm-proxy`: the seed's lines verbatim, against the server that it starts (rows 33 and 34)."""

import json
import os
import re
import shlex
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import requests

from llmring_site import llm_proxy
from tests.server import Server, free_port, open_to_postgresql

pytestmark = pytest.mark.servers

MANAGEMENT_TOKEN = "your-secure-management-token"
PROGRAM = (sys.executable, "-m", "llmring_site.llm_proxy")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The server as llm-proxy starts it: without a command, listening where LISTEN_ADDR says."""
    data = open_to_postgresql(tmp_path_factory.mktemp("llm-proxy")) / "data"
    with Server(
        data,
        command=PROGRAM,
        port=(port := free_port()),
        LLMRING_HTTP_PORT=str(free_port()),
        LISTEN_ADDR=f":{port}",
        MANAGEMENT_TOKEN=MANAGEMENT_TOKEN,
        LLMRING_WORKERS="1",
    ) as running:
        yield running


def run(line: str, *, input: str | None = None, **variables: str) -> subprocess.CompletedProcess:
    name, *arguments = shlex.split(line)
    assert name == "llm-proxy"
    return subprocess.run(
        [*PROGRAM, *arguments],
        input=input,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": os.environ["PATH"], **variables},
    )


@pytest.fixture
def seed(server):
    """Run one of the seed's lines with this server's address, token and ids."""

    def run_line(line: str, *, project_id: str = "", expect: int = 0, **options) -> str:
        line = line.replace("http://localhost:8080", server.url)
        line = line.replace("<token>", MANAGEMENT_TOKEN).replace("<project-id>", project_id)
        done = run(line, **options)
        assert done.returncode == expect, (line, done.stdout, done.stderr)
        return done.stderr if expect else done.stdout

    return run_line


CREATE = (
    'llm-proxy manage project create --name "My Project" --openai-key sk-... '
    "--manage-api-base-url http://localhost:8080 --management-token <token>"
)
ENDING = "--manage-api-base-url http://localhost:8080 --management-token <token>"


def test_row_33_every_line_of_the_seed(seed, server):
    created = seed(CREATE)
    assert "My Project" in created and "sk****" in created
    project_id = re.search(r"ID: +(\S+)", created)[1]

    listed = seed(f"llm-proxy manage project list {ENDING}")
    assert listed.splitlines()[0].split("  ")[0] == "ID"
    assert project_id in listed
    masked = CREATE.replace("sk-...", "sk-proj-...WXYZ").replace("My Project", "Masked")
    assert "cannot save obfuscated API key" in seed(masked, expect=1)
    got = seed(f"llm-proxy manage project get <project-id> {ENDING}", project_id=project_id)
    assert got == created
    update = f'llm-proxy manage project update <project-id> --name "New Name" {ENDING}'
    assert "New Name" in seed(update, project_id=project_id)

    generate = f"llm-proxy manage token generate --project-id <project-id> --duration 24 {ENDING}"
    printed = seed(generate, project_id=project_id)
    token = re.search(r"^Token: +(sk-[A-Za-z0-9_-]{22})$", printed, re.MULTILINE)[1]
    assert re.search(r"^Expires at: +20\d\d-", printed, re.MULTILINE)
    shown = json.loads(seed(f"llm-proxy manage token get {token} --json {ENDING}"))
    assert shown["project_id"] == project_id and token not in json.dumps(shown)

    seed(f"llm-proxy manage project delete <project-id> {ENDING}", project_id=project_id)
    again = f"llm-proxy manage project get <project-id> --json {ENDING}"
    assert json.loads(seed(again, project_id=project_id))["is_active"] is False
    assert (
        json.loads(seed(f"llm-proxy manage token get {token} --json {ENDING}"))["is_active"]
        is False
    )
    assert token not in server.output and MANAGEMENT_TOKEN not in server.output


def test_the_curl_lines_of_the_seed(server):
    lines = [
        f"""curl -sS -X POST {server.url}/manage/projects \\
          -H "Authorization: Bearer $MANAGEMENT_TOKEN" \\
          -H "Content-Type: application/json" \\
          -d '{{"name": "Project of curl", "openai_api_key": "sk-..."}}'""",
        f"""curl -sS -X PATCH {server.url}/manage/projects/<project-id> \\
          -H "Authorization: Bearer $MANAGEMENT_TOKEN" \\
          -H "Content-Type: application/json" \\
          -d '{{"name": "New Name of curl"}}'""",
    ]
    replies = []
    for line in lines:
        line = line.replace("<project-id>", replies[0]["id"] if replies else "")
        done = subprocess.run(
            ["bash", "-c", line],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "MANAGEMENT_TOKEN": MANAGEMENT_TOKEN},
        )
        replies.append(json.loads(done.stdout))
    assert replies[1]["name"] == "New Name of curl" and replies[1]["id"] == replies[0]["id"]
    assert replies[1]["api_key"] == "sk****"


def test_cached_answers_are_purged(seed):
    purge = f"llm-proxy manage cache purge --method GET --url /v1/models {ENDING}"
    nothing = "No answer was cached\n"
    assert seed(purge) == nothing
    assert json.loads(seed(f"{purge} --json")) == {"deleted": False}
    assert json.loads(seed(f"{purge} --prefix /v1 --json")) == {"deleted": 0}
    assert seed(purge.replace("--manage-api-base-url", "--api-base-url")) == nothing
    assert "invalid URL" in seed(purge.replace("/v1/models", "models"), expect=1)


def test_server_listens_at_both_addresses(server):
    assert f"0.0.0.0:{server.port}" in server.output
    both = re.search(r"listening on (.+)\)", server.output)[1].split(", ")
    assert len(both) == 2
    for address in both:
        port = address.rpartition(":")[2]
        assert requests.get(f"http://127.0.0.1:{port}/live", timeout=10).ok


def test_a_server_with_an_address_listens_there_alone(tmp_path):
    port = free_port()
    with Server(
        open_to_postgresql(tmp_path) / "data",
        command=(*PROGRAM, "server", "--addr", f"127.0.0.1:{port}"),
        port=port,
        LLMRING_WORKERS="1",
    ) as running:
        assert f"Ready: http://localhost:{port} " in running.output
        assert f"(listening on 127.0.0.1:{port})" in running.output


@pytest.mark.parametrize(
    ("variables", "arguments", "own", "address"),
    [
        ({}, [], ["--host=0.0.0.0", "--port=8080"], ":8080"),
        ({"LISTEN_ADDR": "[::1]:90"}, [], ["--host=[::1]", "--port=90"], "[::1]:90"),
        ({"LISTEN_ADDR": ":1"}, ["--addr", "h:2"], ["--host=h", "--port=2"], "h:2"),
        # Who asks for llmring-server's address gets both, with the host for both.
        ({}, ["--host", "127.0.0.1"], ["--host=127.0.0.1"], "127.0.0.1:8080"),
        ({}, ["--host", "::1", "--port", "9"], ["--host=::1", "--port=9"], "[::1]:8080"),
        ({"LISTEN_ADDR": ":1"}, ["--host", "h"], ["--host=h"], ":1"),
        ({"LLMRING_HTTP_PORT": "7"}, [], [], ":8080"),
    ],
)
def test_where_a_server_listens(tmp_path, monkeypatch, variables, arguments, own, address):
    monkeypatch.chdir(tmp_path)
    for name in ("LISTEN_ADDR", "LLMRING_HTTP_PORT"):
        monkeypatch.setenv(name, variables.get(name, ""))
    started = []
    monkeypatch.setattr(llm_proxy.cli, "server", started.append)
    llm_proxy.main(["server", *arguments, "--workers", "1"])
    assert started == [["serve", *own, "--workers", "1"]]
    assert os.environ["LISTEN_ADDR"] == address


@pytest.mark.parametrize(
    "flags", ["-c {} -v", "--config={} --debug", "--config {} --log-level debug"]
)
def test_a_server_takes_the_flags_of_llm_proxy(tmp_path, monkeypatch, flags):
    monkeypatch.chdir(tmp_path)
    expected = {
        "LISTEN_ADDR": ":8080",
        "LLMRING_HTTP_PORT": "",
        "API_CONFIG_PATH": "upstreams.yaml",
        "LLMRING_LOG_LEVEL": "debug",
    }
    for name in expected:
        monkeypatch.setenv(name, "")
    started = []
    monkeypatch.setattr(llm_proxy.cli, "server", started.append)
    llm_proxy.main(["server", *flags.format("upstreams.yaml").split(), "--db", "data/proxy.db"])
    assert started == [["serve", "--host=0.0.0.0", "--port=8080"]]
    assert {name: os.environ[name] for name in expected} == expected


def test_a_server_reads_a_named_file_of_variables(tmp_path, monkeypatch):
    """As llm-proxy's `--env`; llmring-server's own option of that name has three words."""
    (tmp_path / "proxy.env").write_text("LISTEN_ADDR=:90\nAPI_CONFIG_PATH=named.yaml\n")
    (tmp_path / ".env").write_text("LISTEN_ADDR=:91\nDEBUG=1\n")
    monkeypatch.chdir(tmp_path)
    names = ("LISTEN_ADDR", "API_CONFIG_PATH", "DEBUG", "LLMRING_HTTP_PORT")
    for name in names:
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
    started = []
    monkeypatch.setattr(llm_proxy.cli, "server", started.append)
    llm_proxy.main(["server", "--env", "proxy.env"])
    assert started == [["serve", "--host=0.0.0.0", "--port=90"]]
    found = {name: os.environ.get(name) for name in names[:3]}
    assert found == {"LISTEN_ADDR": ":90", "API_CONFIG_PATH": "named.yaml", "DEBUG": "1"}
    llm_proxy.main(["server", "--env", "prod"])
    assert started[-1] == ["serve", "--host=0.0.0.0", "--port=90", "--env=prod"]
    done = run("llm-proxy server --env missing.env")
    assert done.returncode == 2
    assert "there is no file 'missing.env'" in done.stderr


def test_row_34_flag_wins_over_variables(server):
    variables = {
        "MANAGEMENT_TOKEN": MANAGEMENT_TOKEN,
        "MANAGEMENT_API_BASE_URL": server.url,
    }
    line = "llm-proxy manage project list --json"
    assert isinstance(json.loads(run(line, **variables).stdout), list)
    wrong = run(f"{line} --management-token wrong", **variables)
    assert wrong.returncode == 1 and wrong.stdout == ""
    assert wrong.stderr == "error: 401 Unauthorized: invalid management token\n"
    before = run("llm-proxy manage --management-token wrong project list", **variables)
    assert before.returncode == 1 and "401" in before.stderr
    nobody = run(f"{line} --manage-api-base-url http://127.0.0.1:9", **variables)
    assert nobody.returncode == 1 and "cannot be reached" in nobody.stderr


def test_wrong_command_lines_are_2():
    for line in (
        "llm-proxy manage",
        "llm-proxy unknown",
        "llm-proxy manage project list",  # no token
        "llm-proxy manage project get --management-token x",
        "llm-proxy manage token generate --project-id 1 --duration 1y --management-token x",
        "llm-proxy openai chat",
        "llm-proxy openai chat --token x --proxy localhost:8080",
        "llm-proxy manage project list --management-token x --manage-api-base-url localhost:8080",
    ):
        assert run(line).returncode == 2, line


def test_token_with_a_line_end_is_sent_without_and_never_shown(server):
    """As Windows writes it into a file."""
    line = f"llm-proxy manage project list --json --manage-api-base-url {server.url}"
    assert run(line, MANAGEMENT_TOKEN=f"{MANAGEMENT_TOKEN}\r").returncode == 0
    broken = run(line, MANAGEMENT_TOKEN="secret\rsecret")
    assert broken.returncode == 2 and "secret" not in broken.stderr


def test_log_level_of_the_command_line_wins():
    done = run("llm-proxy server --log-level WRONG", LLMRING_LOG_LEVEL="info", LOG_LEVEL="info")
    assert done.returncode == 1 and "got 'wrong'" in done.stderr


def test_tokens_with_limits_are_listed_changed_and_revoked(seed):
    project = json.loads(seed(f"llm-proxy manage project create --name limits --json {ENDING}"))
    generate = "llm-proxy manage token generate --json --duration 90m --max-requests 5 --budget 2.5"
    generate += " --model gpt-4o* --model o4-* --name cli"
    token = json.loads(seed(f"{generate} --project-id {project['id']} {ENDING}"))
    assert (token["max_requests"], token["budget_usd"], token["name"]) == (5, 2.5, "cli")
    assert token["allowed_models"] == ["gpt-4o*", "o4-*"]
    update = f"llm-proxy manage token update {token['id']} --requests-per-minute 7 --json {ENDING}"
    assert json.loads(seed(update))["requests_per_minute"] == 7
    shown = seed(f"llm-proxy manage token get {token['id']} {ENDING}")
    left = re.search("^Remaining: +(.*)$", shown, re.MULTILINE)[1]
    assert left == "requests 5, requests_this_minute 7, budget_usd 2.5"
    assert token["id"] in seed(
        f"llm-proxy manage token list --project-id {project['id']} --active-only {ENDING}"
    )
    assert "revoked" in seed(f"llm-proxy manage token revoke {token['token']} {ENDING}")
    rows = seed(f"llm-proxy manage token list --active-only --json {ENDING}")
    assert token["id"] not in {row["id"] for row in json.loads(rows)}
    many = seed(f"llm-proxy manage project revoke-tokens {project['id']} --json {ENDING}")
    assert json.loads(many) == {"revoked_count": 0, "already_revoked_count": 1, "total_tokens": 1}
    error = seed(
        f"llm-proxy manage token generate --project-id {project['id']} --max-requests=-1 {ENDING}",
        expect=1,
    )
    assert error.startswith("error: 400 Bad Request: max_requests: ")


class _Model(BaseHTTPRequestHandler):
    """Answers a chat with the number of its messages and the last of them, in two chunks."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, self.headers["Authorization"], body))
        text = body["messages"][-1]["content"]
        if text == "fail":
            error = {"error": {"message": "Token has expired", "code": "token_expired"}}
            self._reply(401, "application/json", json.dumps(error))
        elif not body["stream"]:
            answer = {"choices": [{"message": {"content": f"whole {text}"}}]}
            self._reply(200, "application/json", json.dumps(answer))
        else:
            parts = (f"{len(body['messages'])}: ", text)
            events = [{"choices": [{"delta": {"content": part}}]} for part in parts]
            stream = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
            self._reply(200, "text/event-stream", stream + "data: [DONE]\n\n")

    def _reply(self, status: int, content_type: str, body: str):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *arguments):
        pass


@pytest.fixture
def model():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Model)
    server.seen = []
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_chat_answers_each_line_of_a_pipe(model):
    line = f"llm-proxy openai chat --proxy http://127.0.0.1:{model.server_port} --token sk-t"
    done = run(f"{line} --system brief --max-tokens 9", input="hello\n\nagain\nexit\nnever\n")
    assert (done.returncode, done.stdout) == (0, "2: hello\n4: again\n"), done.stderr
    path, authorization, body = model.seen[1]
    assert (path, authorization) == ("/v1/chat/completions", "Bearer sk-t")
    assert body == {
        "model": "gpt-4.1-mini",
        "messages": [
            {"role": "system", "content": "brief"},
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": "2: hello"},
            {"role": "user", "content": "again"},
        ],
        "temperature": 0.7,
        "stream": True,
        "max_tokens": 9,
    }


def test_chat_without_stream_and_with_an_error(model):
    variables = {"PROXY_URL": f"http://127.0.0.1:{model.server_port}/v1/", "PROXY_TOKEN": "sk-t"}
    done = run("llm-proxy openai chat --no-stream --model m", input="hello\n", **variables)
    assert (done.returncode, done.stdout) == (0, "whole hello\n"), done.stderr
    done = run("llm-proxy openai chat", input="fail\nhello\n", **variables)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: 401 Unauthorized: Token has expired\n"
