"""Variables: read once, refused with their name, documented in the README."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from llmring_site import checks, env

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("LLMRING_DATABASE_POOL_SIZE", "many", "an integer of at least 1"),
        ("LLMRING_DATABASE_POOL_SIZE", "0", "an integer of at least 1"),
        ("LLMRING_DATABASE_SCHEMA", "a; drop", "lower-case letters"),
        ("LLMRING_DATABASE_URL", "mysql://h/d", "postgresql://"),
        ("LLMRING_DATABASE_URL", "postgresql://user:pw-secret@host", "the database is missing"),
        ("LLMRING_REDIS_URL", "localhost:6379", "redis://"),
        ("LLMRING_API_KEY_VALIDATION_MODE", "open", "one of bridge, strict"),
        ("LLMRING_LOG_FORMAT", "xml", "one of console, json"),
        ("LLMRING_MAX_BODY_BYTES", "1e6", "an integer"),
        ("LLMRING_ENABLE_CONVERSATION_TRACKING", "maybe", "one of"),
        ("LLMRING_CORS_ORIGINS", '["unclosed', "a JSON array"),
        ("LLMRING_WORKERS", "20", "LLMRING_DATABASE_POOL_SIZE must be such that"),
        ("LLMRING_DATABASE_URL_FILE", "/no/such/file", "a readable file"),
    ],
)
def test_bad_value_stops_the_start_naming_the_variable(tmp_path, name, value, accepted):
    done = subprocess.run(
        [sys.executable, ROOT / "manage.py", "check"],
        env={"PATH": os.environ["PATH"], "LLMRING_DATA_DIR": str(tmp_path), name: value},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: LLMRING_") and done.stderr.count("\n") == 1
    assert name in done.stderr or name == "LLMRING_WORKERS"
    assert accepted in done.stderr
    assert "pw-secret" not in done.stderr


def test_secret_may_come_from_a_file(tmp_path, monkeypatch):
    (tmp_path / "secret").write_text("from a file\n")
    monkeypatch.setenv("X_SECRET_FILE", str(tmp_path / "secret"))
    assert env.secret("X_SECRET") == "from a file"


def test_lists_are_comma_separated_or_json(monkeypatch):
    for text in ("a, b", '["a", "b"]'):
        monkeypatch.setenv("X_LIST", text)
        assert env.string_list("X_LIST") == ["a", "b"]
    monkeypatch.setenv("X_LIST", '[{"a": 1}]')
    with pytest.raises(ImproperlyConfigured, match="X_LIST"):
        env.string_list("X_LIST")


def test_unknown_variable_of_ours_warns(monkeypatch):
    monkeypatch.setenv("LLMRING_DATABSE_URL", "x")
    monkeypatch.setenv("LLMRING_API_KEY", "the client's")
    (warning,) = checks.check_unknown_variables(None)
    assert "LLMRING_DATABSE_URL" in warning.msg


def test_readme_lists_exactly_the_variables_that_settings_read():
    readme = (ROOT / "README.md").read_text()
    documented = set(re.findall(r"^\| `([A-Z0-9_]+)`", readme, re.MULTILINE))
    read = {name for name in env.known if not name.endswith("_FILE") and not name.startswith("X_")}
    assert documented == read
