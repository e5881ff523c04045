"""Variables: read once, refused with their name, documented in the README."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from llmring_site import checks, env, env_addresses
from llmring_site.env_file import load_env_file

pytestmark = pytest.mark.servers

ROOT = Path(__file__).resolve().parents[2]


BAD_VALUES = [
    ("LLMRING_DATABASE_POOL_SIZE", "many", "an integer of at least 1"),
    ("LLMRING_DATABASE_POOL_SIZE", "0", "an integer of at least 1"),
    ("LLMRING_DATABASE_SCHEMA", "a; drop", "lower-case letters"),
    ("LLMRING_DATABASE_SCHEMA", "pg_logs", "not beginning with pg_"),
    ("LLMRING_DATABASE_URL", "mysql://h/d", "postgresql://"),
    ("LLMRING_DATABASE_URL", "postgresql://user:pw-secret@host", "the database is missing"),
    ("LLMRING_DATABASE_URL", "postgresql://u:pw-secret@h/d?connect_timeout=abc", "connect_timeout"),
    ("LLMRING_DATABASE_URL", "postgresql://u:pw-secret@h/d?pgbouncer=true", "'pgbouncer'"),
    ("LLMRING_DATABASE_URL", "postgresql://u:pw-secret@h/d?schema=public", "'schema'"),
    ("LLMRING_DATABASE_URL", "postgresql://u:pw-secret/x@h/d", "%2F"),
    ("LLMRING_DATABASE_URL", "postgresql://u:pw-secret%zz@h/d", "%25"),
    ("LLMRING_DATABASE_URL", "postgresql://u:pw-secret@h:abc/d", "port must be"),
    ("LLMRING_DATABASE_URL", "postgresql://u:pw-secret@h:99999/d", "port must be"),
    ("LLMRING_REDIS_URL", "localhost:6379", "redis://"),
    ("LLMRING_REDIS_URL", "rediss://h/0?ssl_cert_reqs=CERT_NONE", "'ssl_cert_reqs'"),
    ("LLMRING_REDIS_URL", "redis://h/0?ssl_cert_reqs=none", "'ssl_cert_reqs'"),
    ("LLMRING_REDIS_URL", "redis://:pw-secret@h/0?foo=bar", "'foo'"),
    ("LLMRING_REDIS_URL", "redis://:pw-secret@h/0?socket_timeout=abc", "'socket_timeout'"),
    ("LLMRING_API_KEY_VALIDATION_MODE", "open", "one of bridge, strict"),
    ("LLMRING_LOG_FORMAT", "xml", "one of console, json"),
    ("LLMRING_MAX_BODY_BYTES", "1e6", "an integer"),
    ("LLMRING_ENABLE_CONVERSATION_TRACKING", "maybe", "one of"),
    ("LLMRING_CORS_ORIGINS", '["unclosed', "a JSON array"),
    ("LLMRING_CORS_ORIGINS", "https://app.example.com/", "without path or slash"),
    ("LLMRING_CORS_ORIGINS", "app.example.com", "https://app.example.com"),
    ("LLMRING_CORS_ORIGINS", "https://a.*.example.com", "https://app.example.com"),
    ("LLMRING_ALLOWED_HOSTS", "https://llm.example.com", "without scheme"),
    ("LLMRING_ALLOWED_HOSTS", "llm.example.com:443", "without scheme, port"),
    ("LLMRING_ALLOWED_HOSTS", "*.example.com", ".example.com (all below it)"),
    ("LLMRING_PUBLIC_URL", "llm.example.com", "http://"),
    ("LLMRING_PUBLIC_URL", "https://llm.example.com/?a=1", "without query"),
    ("LLMRING_PUBLIC_URL", "https://me:pw-secret@llm.example.com", "such as https://"),
    ("LLMRING_PUBLIC_URL", "https://llm.example.com:http", "an address beginning with"),
    ("LLMRING_WORKERS", "20", "LLMRING_DATABASE_POOL_SIZE must be such that"),
    ("LLMRING_SECRET_KEY", "pw-secret", "at least 32 characters"),
    ("LLMRING_DATABASE_URL_FILE", "/no/such/file", "a readable file"),
    ("LLMRING_DATABASE_URL_FILE", "/", "a readable file"),
    ("REQUESTS_CA_BUNDLE", "/no/such/bundle.pem", "an existing file"),
    ("ADMIN_USER", "a" * 151, "150 characters"),
    ("MANAGEMENT_TOKEN_FILE", "/no/such/file", "a readable file"),
    ("LISTEN_ADDR", "localhost", "such as :8080"),
    ("LISTEN_ADDR", ":0", "such as :8080"),
    ("LISTEN_ADDR", "http://h:8080", "such as :8080"),
    ("LOG_FILE", "/no/such/directory/server.log", "a directory that exists"),
    ("LOG_FILE", "/", "a directory that exists"),
    ("LOG_MAX_SIZE_MB", "0", "an integer of at least 1"),
    ("LOG_MAX_BACKUPS", "many", "an integer of at least 1"),
    ("METRICS_PATH", "/", "such as /metrics"),
    ("METRICS_PATH", "/a/../metrics", "such as /metrics"),
    ("LLMRING_CACHE_TTL", "9" * 18, "at most 31536000"),
    ("LLMRING_GATEWAY_CACHE_MB", "9" * 18, "at most 1073741824"),
    ("LLMRING_DATABASE_URL", "postgresql://u@h/d?client_encoding=LATIN1", "must be UTF8"),
    ("LLMRING_REDIS_URL", "redis://:pw-secret@h/cache", "redis://:password@host:6379/0."),
    ("LLMRING_REDIS_URL", "redis://h/0?decode_responses=true", "'decode_responses'"),
    ("LLMRING_ALLOWED_HOSTS", ",", "such as llm.example.com"),
    ("LLMRING_ALLOWED_HOSTS", "müller.example", "such as llm.example.com"),
    ("LLMRING_PUBLIC_URL", "http://my host", "http://"),
    ("LLMRING_PUBLIC_URL", "http://müller..example", "such as https://"),
    ("LLMRING_PUBLIC_URL", "https://h/a/../b", "such as https://"),
    ("LLMRING_ENCRYPTION_KEY", ",", "at least 32 characters"),
    ("LLMRING_EMAIL_URL", "smtp://me:pw-secret@h:587?tls=true", "such as smtp://"),
    ("LLMRING_EMAIL_URL", "smtp://me@h", "such as smtp://"),
    ("LLMRING_EMAIL_URL", "smtp://h:0", "such as smtp://"),
    ("LLMRING_EMAIL_URL", "smtp://me:pw-secret%C3%BC@h", "of printable ASCII characters"),
    ("LLMRING_EMAIL_URL", "smtp://me:pw-secretü@h", "of printable ASCII characters"),
    ("LLMRING_EMAIL_URL", f"smtp://me:pw-secret@{'h' * 64}", "the name of a host"),
    ("LLMRING_EMAIL_FROM", "noreply", "one address"),
    ("LLMRING_EMAIL_FROM", f"noreply@{'h' * 64}.example", "one address"),
    ("LLMRING_EMAIL_FROM", "A <a@example.com>, b@example.com", "one address"),
    ("LLMRING_EMAIL_FROM", "'A <a@example.com>'", "one address"),
    ("LLMRING_EMAIL_FROM", "a@", "one address"),
    ("LLMRING_GITHUB_CLIENT_ID", "a\nb", "one line"),
    ("LLMRING_GITHUB_CLIENT_SECRET", "pw-secret pw", "without blanks"),
    ("OPENAI_API_KEY", "pw-secret\nX-Other: 1", "without blanks"),
    ("OPENAI_API_KEY", "pw-secret–1", "printable ASCII"),
    ("OPENAI_API_KEY", "'pw-secret'", "without quotation marks"),
    ("OPENAI_API_URL", "https://h/v1?key=pw-secret", "without query"),
    ("LLMRING_REGISTRY_BASE_URL", "https://h/#registry", "without query"),
    ("MANAGEMENT_TOKEN", "pw-secretü", "printable ASCII"),
    ("ADMIN_PASSWORD", "pw-secret\nADMIN_USER=ana", "one line"),
    ("LLMRING_DATABASE_URL", "postgresql://u:pw-secret@h/d\n# d is ours", "one line"),
    ("LISTEN_ADDR", "*:8080", "such as :8080"),
    ("LLMRING_ACCOUNT_TIER", "fr\udce9e", "UTF-8"),
    ("METRICS_PATH", "/me trics", "such as /metrics"),
    ("LLMRING_WORKERS", "1_0", "at most 64, got '1_0'"),
    ("LLMRING_HTTP_PORT", "+8000", "got '+8000'"),
    ("LLMRING_HTTP_PORT", "٣", "got '٣'"),
    ("LLMRING_HTTP_PORT", "9" * 5000, f"got '{'9' * 100}…'"),
    ("LLMRING_MESSAGE_RETENTION_DAYS", "9" * 10, "at most 2147483647"),
    ("LLMRING_MAX_BODY_BYTES", "9" * 20, "at most 1099511627776"),
    ("LLMRING_DATA_DIR", "a" * 300, "(File name too long), got"),
    ("LLMRING_DATA_DIR", "~nobody.here/data", "the path of a file or directory"),
    ("LOG_FILE", "a" * 300, "(File name too long), got"),
    ("LOG_FILE", "~nobody.here/log", "the path of a file or directory"),
    ("REQUESTS_CA_BUNDLE", "a" * 300, "an existing file"),
]


def check(tmp_path, **variables: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, ROOT / "manage.py", "check"],
        env={"PATH": os.environ["PATH"], "LLMRING_DATA_DIR": str(tmp_path / "data"), **variables},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(("name", "value", "accepted"), BAD_VALUES)
def test_bad_value_stops_the_start_naming_the_variable(tmp_path, name, value, accepted):
    done = check(tmp_path, **{name: value})
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert name in done.stderr or name == "LLMRING_WORKERS"
    assert accepted in done.stderr
    assert "pw-secret" not in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("LLMRING_DEBUG=on\n".encode("utf-16"), "another encoding"),
        ("ADMIN_USER=Zoë\n".encode("latin-1"), "another encoding"),
    ],
)
def test_env_file_in_another_encoding_is_refused(tmp_path, content, reason):
    (tmp_path / ".env").write_bytes(content)
    done = check(tmp_path)
    assert done.stderr.startswith(f"error: {tmp_path / '.env'} must be a readable file of UTF-8")
    assert done.stderr.count("\n") == 1 and reason in done.stderr


def test_secret_file_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "url").write_bytes("postgresql://é@h/d".encode("utf-16"))
    done = check(tmp_path, LLMRING_DATABASE_URL_FILE=str(tmp_path / "url"))
    assert done.stderr.startswith("error: LLMRING_DATABASE_URL_FILE must be a readable file of UTF")


def test_secret_in_place_of_its_file_is_not_repeated(tmp_path):
    done = check(tmp_path, MANAGEMENT_TOKEN_FILE="pw-secret-of-some/length")
    assert done.returncode == 1 and "pw-secret" not in done.stderr
    assert "MANAGEMENT_TOKEN_FILE must be a readable file of UTF-8 text (No such" in done.stderr
    done = check(tmp_path, MANAGEMENT_TOKEN_FILE=str(tmp_path / "token"))
    assert f"(No such file or directory: {tmp_path / 'token'})" in done.stderr


@pytest.mark.parametrize("content", ["", "\n"])
def test_empty_secret_file_is_refused(tmp_path, content):
    """The server would take the embedded database, or make a new key."""
    (tmp_path / "url").write_text(content)
    done = check(tmp_path, LLMRING_DATABASE_URL_FILE=str(tmp_path / "url"))
    assert done.returncode == 1
    assert done.stderr.startswith("error: LLMRING_DATABASE_URL_FILE must be a file with a value")


def test_login_by_a_provider_needs_its_secret(tmp_path):
    done = check(tmp_path, LLMRING_GITHUB_CLIENT_ID="id")
    assert done.returncode == 1
    assert "LLMRING_GITHUB_CLIENT_SECRET must be set with LLMRING_GITHUB_CLIENT_ID" in done.stderr
    secret = check(tmp_path, LLMRING_GITHUB_CLIENT_ID="id", LLMRING_GITHUB_CLIENT_SECRET="s")
    assert secret.returncode == 0, secret.stderr


@pytest.mark.parametrize("path", ["/health", "/registry.json", "/admin/metrics", "/v1", "/mcp"])
def test_metrics_need_a_path_of_their_own(settings, path):
    settings.METRICS_PATH = path
    [error] = checks.check_metrics_path(None)
    assert error.msg.startswith(
        f"METRICS_PATH must be a path that nothing else is served at, got '{path}'"
    )
    settings.ENABLE_METRICS = False
    assert checks.check_metrics_path(None) == []


def test_env_file_expands_variables_outside_of_single_quotes(tmp_path, monkeypatch):
    """A password may hold `${…}`; the shell's rule says how to write it."""
    names = ("X_LITERAL", "X_QUOTED", "X_BARE", "X_EXPORTED", "X_SET")
    for name in names:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("X_HOME", "/home/me")
    monkeypatch.setenv("X_SET", "by the environment")
    (tmp_path / ".env").write_text(
        "\ufeffX_LITERAL='p${X_HOME}w'\nX_QUOTED=\"${X_HOME}/a\"\nX_BARE=${X_HOME}/b # comment\n"
        "export X_EXPORTED = '${X_HOME}'\nX_SET=by the file\nno assignment\n",
        encoding="utf-8",
    )
    load_env_file(tmp_path / ".env")
    assert [os.environ[name] for name in names] == [
        "p${X_HOME}w",
        "/home/me/a",
        "/home/me/b",
        "${X_HOME}",
        "by the environment",
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("HTTPS://LLM.Example.COM:443/", "https://llm.example.com"),
        ("http://h:80", "http://h"),
        ("https://h:8443/LLMRing/", "https://h:8443/LLMRing"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("https://müller.example", "https://xn--mller-kva.example"),
    ],
)
def test_public_url_is_written_as_browsers_write_it(monkeypatch, given, expected):
    monkeypatch.setenv("X_PUBLIC_URL", given)
    assert env_addresses.public_url("X_PUBLIC_URL", "") == expected


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux only")
def test_workers_are_as_many_as_the_cores_that_they_may_use(tmp_path):
    program = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
        "os.cpu_count = lambda: 3; "
        "from llmring_site import settings; print(settings.WORKERS)"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "1\n", done.stderr


def test_secret_may_come_from_a_file(tmp_path, monkeypatch):
    (tmp_path / "secret").write_text("from a file\n")
    monkeypatch.setenv("X_SECRET_FILE", str(tmp_path / "secret"))
    assert env.secret("X_SECRET") == "from a file"


def test_address_with_a_password_may_come_from_a_file(tmp_path, monkeypatch):
    (tmp_path / "redis").write_text("redis://:pw@cache:6379/1\n")
    monkeypatch.setenv("LLMRING_REDIS_URL_FILE", str(tmp_path / "redis"))
    assert env_addresses.redis_url("LLMRING_REDIS_URL") == "redis://:pw@cache:6379/1"


def test_lists_are_comma_separated_or_json(monkeypatch):
    for text in ("a, b", '["a", "b"]'):
        monkeypatch.setenv("X_LIST", text)
        assert env.string_list("X_LIST") == ["a", "b"]
    monkeypatch.setenv("X_LIST", '[{"a": 1}]')
    with pytest.raises(ImproperlyConfigured, match="X_LIST"):
        env.string_list("X_LIST")


def test_address_in_brackets_is_no_json(monkeypatch):
    monkeypatch.setenv("X_LIST", "[::1]")
    assert env_addresses.hosts("X_LIST", []) == ["[::1]"]


@pytest.mark.parametrize(
    "value", ["a@b", "Acme Ltd. <a@b.example>", '"Acme, Ltd" <a@b.example>', "Zoë <a@b.example>"]
)
def test_sender_has_one_address(monkeypatch, value):
    monkeypatch.setenv("X_SENDER", value)
    assert env_addresses.sender("X_SENDER", host="h.example") == value


def test_unknown_variable_of_ours_warns(monkeypatch):
    monkeypatch.setenv("LLMRING_DATABSE_URL", "x")
    monkeypatch.setenv("llmring_debug", "on")
    monkeypatch.setenv("LLMRING_PUBLIC_URL_FILE", "/x")
    monkeypatch.setenv("LLMRING_SOMETHING_ELSE", "x")
    monkeypatch.setenv("LLMRING_API_KEY", "the client's")
    hints = {
        warning.msg.split()[0]: warning.hint for warning in checks.check_unknown_variables(None)
    }
    assert hints == {
        "LLMRING_DATABSE_URL": "Did you mean LLMRING_DATABASE_URL?",
        "llmring_debug": "Did you mean LLMRING_DEBUG?",
        "LLMRING_PUBLIC_URL_FILE": "Did you mean LLMRING_PUBLIC_URL?",
        "LLMRING_SOMETHING_ELSE": "The README lists all variables.",
    }


def test_readme_lists_exactly_the_variables_that_settings_read():
    readme = (ROOT / "README.md").read_text()
    documented = set(re.findall(r"^\| `([A-Z0-9_]+)`", readme, re.MULTILINE))
    files = {f"{name}_FILE" for name in env.known}
    read = {name for name in env.known - files if not name.startswith("X_")}
    assert documented == read
    shared = {name for name in documented if not name.startswith("LLMRING_")}
    assert shared == env.SHARED_VARIABLES
