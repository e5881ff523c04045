"""What is tried before the server starts, and what is said when it cannot."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from django.core import management
from django.db import OperationalError, ProgrammingError, connection

from accounts.models import Tier
from core.database.embedded import EmbeddedPostgres
from core.management.commands.migrate import AtomicExecutor
from llmring_site import checks, startup
from tests.environment import DATA_DIR
from tests.redis_process import redis_server
from tests.server import Server, free_port
from tests.site.databases import new_database
from tests.site.loopback import listening

pytestmark = pytest.mark.servers

ROOT = Path(__file__).resolve().parents[2]


def start(data_dir: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
    """Run `llmring-server` until it has refused to start."""
    return subprocess.run(
        [sys.executable, "-m", "llmring_server.cli", "--port", str(free_port()), *arguments],
        env={"PATH": os.environ["PATH"], "LLMRING_DATA_DIR": str(data_dir), **variables},
        cwd=data_dir.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )


def refusal(done: subprocess.CompletedProcess) -> str:
    """The one line of a start that was refused."""
    assert done.returncode == 1 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--port", "8_1"), "LLMRING_HTTP_PORT must be an integer of at least 1 and at most 65535"),
        (("--workers", "two"), "LLMRING_WORKERS must be an integer of at least 1 and at most 64"),
    ],
)
def test_number_of_the_command_line_is_read_as_that_of_a_variable(tmp_path, arguments, expected):
    line = refusal(start(tmp_path / "data", *arguments))
    assert line == f"error: {expected}, got {arguments[1]!r}."


def test_empty_option_is_not_the_default(tmp_path):
    """As of `--port "$PORT"` without the variable."""
    done = start(tmp_path / "data", "--port", "")
    assert done.returncode == 2 and "argument --port: it is empty" in done.stderr


def test_working_directory_that_is_gone_is_one_line(tmp_path):
    """Only a relative path needs it."""
    (tmp_path / "gone").mkdir()
    command = [sys.executable, "-m", "llmring_site.cli", "--port", str(free_port())]
    script = 'cd gone && rmdir ../gone && exec "$@"'
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["sh", "-c", script, "sh", *command],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    line = done.stderr.splitlines()[-1]
    assert line.startswith("error: LLMRING_DATA_DIR must be the path of a file or directory")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("LLMRING_RECEIPTS_PRIVATE_KEY_B64", "abc", "an Ed25519 seed has 32"),
        ("LLMRING_RECEIPTS_RETIRED_KEYS", "old", "LLMRING_RECEIPTS_RETIRED_KEYS"),
        ("API_CONFIG_PATH", "missing.yaml", "missing.yaml cannot be read"),
    ],
)
def test_settings_of_the_apps_are_checked_before_a_database_starts(tmp_path, name, value, expected):
    line = refusal(start(tmp_path / "data", **{name: value}))
    assert name in line and expected in line
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "command",
    [
        ["llmring_server.cli", "--reload", "--port", "{port}"],
        ["llmring_server.cli", "manage", "listkeys"],
        ["llmring_server.cli", "manage", "migrate"],
        ["llmring_server.cli", "manage", "shell", "-c", "print()"],  # Django checks nothing for it
        ["llmring_server.cli", "manage", "runserver"],
        ["llmring_server.cli", "db", "migrate"],
    ],
    ids=" ".join,
)
def test_settings_are_checked_before_a_database_starts_for_commands(tmp_path, command):
    done = subprocess.run(
        [sys.executable, "-m", *(word.format(port=free_port()) for word in command)],
        env={
            "PATH": os.environ["PATH"],
            "LLMRING_DATA_DIR": str(tmp_path / "data"),
            "API_CONFIG_PATH": "missing.yaml",
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert "API_CONFIG_PATH: missing.yaml cannot be read" in refusal(done)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "load",
    [
        "import llmring_site.asgi",
        "import llmring_site.wsgi",
        "import llmring_server; llmring_server.create_app()",
    ],
)
def test_settings_are_checked_before_a_database_starts_under_other_servers(tmp_path, load):
    done = subprocess.run(
        [sys.executable, "-c", load],
        env={
            "PATH": os.environ["PATH"],
            "LLMRING_DATA_DIR": str(tmp_path / "data"),
            "API_CONFIG_PATH": "missing.yaml",
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    reason = done.stderr.splitlines()[-1]
    assert "StartupError: " in reason and "missing.yaml cannot be read" in reason
    assert not (tmp_path / "data").exists()


@contextmanager
def refusing_postgresql(*reasons: str):
    """The port of a PostgreSQL that refuses each connection, for these reasons in turn.

    Each is a SQLSTATE and a message.
    """
    remaining = list(reasons)

    def refuse(connection) -> None:
        size = int.from_bytes(connection.recv(4))
        if size == 8:  # a question for encryption
            connection.recv(4)
            connection.sendall(b"N")
            size = int.from_bytes(connection.recv(4))
        connection.recv(size - 4)
        reason = remaining.pop(0) if len(remaining) > 1 else remaining[0]
        code, _, message = reason.partition(" ")
        fields = f"SFATAL\0VFATAL\0C{code}\0M{message}\0\0".encode()
        connection.sendall(b"E" + (len(fields) + 4).to_bytes(4) + fields)

    with listening(refuse) as port:
        yield port


def test_older_postgresql_is_refused(tmp_path):
    """Also by commands, which do not look at the rest."""

    def greet(connection) -> None:
        connection.recv(int.from_bytes(connection.recv(4)) - 4)
        connection.sendall(b"R\0\0\0\x08\0\0\0\0")  # authenticated
        for setting in ("server_version\x0013.23\0", "client_encoding\0UTF8\0"):
            connection.sendall(b"S" + (len(setting) + 4).to_bytes(4) + setting.encode())
        connection.sendall(b"Z\0\0\0\x05I")  # ready
        while connection.recv(100):
            pass

    with listening(greet) as port:
        url = f"postgresql://me@127.0.0.1:{port}/logs?sslmode=disable"
        environment = {"PATH": os.environ["PATH"], "LLMRING_DATABASE_URL": url}
        command = [sys.executable, ROOT / "manage.py", "listkeys"]
        listed = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True
        )
        for done in (start(tmp_path / "data", LLMRING_DATABASE_URL=url), listed):
            assert refusal(done) == (
                "error: PostgreSQL must be of version 14 or later, and that of "
                "LLMRING_DATABASE_URL is of 13"
            )
    assert not (tmp_path / "data").exists()


def test_wrong_password_is_said_at_once(tmp_path):
    with refusing_postgresql('28P01 password authentication failed for user "me"') as port:
        url = f"postgresql://me:pw-secret@127.0.0.1:{port}/logs?sslmode=disable"
        started = time.monotonic()
        line = refusal(start(tmp_path / "data", LLMRING_DATABASE_URL=url))
        assert time.monotonic() - started < 20  # not the half minute of a database that starts
    assert "LLMRING_DATABASE_URL cannot be reached: " in line and "authentication failed" in line
    assert "pw-secret" not in line
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "message", ["the database system is starting up", "das Datenbanksystem startet"]
)
def test_starting_database_is_waited_for_aloud(tmp_path, message):
    reasons = [f"57P03 {message}"] * 2 + ['3D000 database "logs" does not exist']
    with refusing_postgresql(*reasons) as port:
        url = f"postgresql://me@127.0.0.1:{port}/logs?sslmode=disable"
        done = start(tmp_path / "data", LLMRING_DATABASE_URL=url)
    waiting, error = done.stderr.splitlines()
    assert waiting.startswith("waiting for the database… (") and message in waiting
    assert error.startswith("error: ") and "does not exist" in error


def test_missing_database_and_user_are_said_at_once(tmp_path):
    socket = EmbeddedPostgres(DATA_DIR).socket_dir
    for url, reason in [
        (f"postgresql://postgres@/missing?host={socket}", 'database "missing" does not exist'),
        (f"postgresql://missing@/postgres?host={socket}", 'role "missing" does not exist'),
        ("postgresql://me@127.0.0.1:9/d?sslmode=sometimes", "sslmode"),
    ]:
        assert reason in refusal(start(tmp_path / "data", LLMRING_DATABASE_URL=url))


def test_database_of_another_encoding_is_refused_untouched(tmp_path):
    latin = "ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0"
    with new_database(options=latin) as url:
        line = refusal(start(tmp_path / "data", LLMRING_DATABASE_URL=url))
        assert "LLMRING_DATABASE_URL" in line and "UTF8, got LATIN1" in line
        with psycopg.connect(url) as untouched:
            tables = untouched.execute(
                "SELECT count(*) FROM pg_tables WHERE schemaname NOT LIKE ALL ('{pg_%,inf%}')"
            )
            assert tables.fetchone() == (0,)
    assert not (tmp_path / "data").exists()


def test_pooler_that_drops_options_is_refused(db_all, settings):
    """Some answer with another search_path than was asked for; tables would go to `public`."""
    with connection.cursor() as cursor:
        for path in ("public", '"$user", public', "mcp_client, llmring"):
            cursor.execute(f"SET search_path TO {path}")
            (error,) = checks.check_database(None, ["default"])
            assert "ALTER ROLE" in error.msg and "LLMRING_DATABASE_URL" in error.msg
        # The connection goes back to the pool, and to whoever is next.
        cursor.execute("RESET search_path")
    assert checks.check_database(None, ["default"]) == []
    settings.DATABASE_SCHEMA = "user"
    assert "LLMRING_DATABASE_SCHEMA=user is a reserved word" in str(
        checks.check_database(None, ["default"])
    )


@pytest.fixture
def role_without_rights():
    """A role that may create nothing: the address of its database, and an administrator's."""
    with new_database() as url, psycopg.connect(url, autocommit=True) as administrator:
        role = f"weak_{os.getpid()}"
        administrator.execute(f"CREATE ROLE {role} LOGIN")
        try:
            yield role, url.replace("postgres@", f"{role}@"), administrator
        finally:
            administrator.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_user_without_rights_is_told_what_to_grant(tmp_path, role_without_rights):
    role, url, administrator = role_without_rights
    for _ in range(2):
        line = refusal(start(tmp_path / "data", LLMRING_DATABASE_URL=url))
        assert "GRANT CREATE ON DATABASE" in line and "llmring and mcp_client" in line
        administrator.execute(f"CREATE SCHEMA IF NOT EXISTS llmring AUTHORIZATION {role}")


def test_schemas_that_exist_need_no_right_to_create_others(tmp_path, role_without_rights):
    role, url, administrator = role_without_rights
    for schema in ("llmring", "mcp_client"):
        administrator.execute(f"CREATE SCHEMA {schema} AUTHORIZATION {role}")
    with Server(tmp_path / "data", LLMRING_DATABASE_URL=url, LLMRING_WORKERS="1"):
        pass


def test_no_timeout_of_a_role_ends_a_migration(db_all):
    """Behind a pooler, the statement timeout of requests is set for the role."""
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    migration = SimpleNamespace(atomic=True)
    with connection.cursor() as cursor:
        for name in names:
            cursor.execute(f"SET {name} = '1h'")
        with AtomicExecutor(connection)._transaction(migration):
            assert [limit(cursor, name) for name in names] == ["0", "0", "0"]
        assert [limit(cursor, name) for name in names] == ["1h", "1h", "1h"]
        for name in names:
            cursor.execute(f"RESET {name}")


def test_no_timeout_of_a_role_ends_the_migration_lock(monkeypatch):
    names = ("lock_timeout", "idle_in_transaction_session_timeout")
    options = connection.settings_dict["OPTIONS"]
    limits = " ".join(f"-c {name}=1h" for name in names)
    monkeypatch.setitem(options, "options", f"{options['options']} {limits}")
    with startup.migration_lock() as held:
        assert [limit(held.cursor(), name) for name in names] == ["0", "0"]


def limit(cursor, name: str) -> str:
    cursor.execute(f"SHOW {name}")
    return cursor.fetchone()[0]


@pytest.mark.parametrize(
    ("app", "name", "reason"),
    [
        ("usage", "0001_initial", "made by a development version (usage.0001_initial): export"),
        ("accounts", "9999_later", "made by a newer version (accounts.9999_later) than"),
    ],
)
def test_database_of_another_version_is_refused(db_all, app, name, reason):
    with applied(app, name), pytest.raises(startup.StartupError) as refused:
        startup._refuse_other_versions()
    assert reason in str(refused.value)


def test_default_tier_that_does_not_exist_is_refused(db_all, settings):
    for name in ("free", "pro"):
        Tier.objects.get_or_create(name=name)
    settings.DEFAULT_TIER = "gratis"
    with pytest.raises(
        startup.StartupError, match="LLMRING_DEFAULT_TIER must be a tier .*'gratis'"
    ):
        startup._check_tiers()
    settings.DEFAULT_TIER = "free"
    startup._check_tiers()


def test_tier_of_accounts_that_does_not_exist_is_refused(db_all, settings):
    """People's projects would have no limits."""
    settings.ACCOUNT_TIER = "hobbby"
    with pytest.raises(
        startup.StartupError, match="LLMRING_ACCOUNT_TIER must be a tier .*'hobbby'"
    ):
        startup._check_tiers()
    Tier.objects.filter(name="free").delete()
    for name in ("free", "none"):
        settings.ACCOUNT_TIER = name
        startup._check_tiers()


def test_migrations_of_other_apps_are_none_of_our_business(db_all):
    with applied("blog", "0001_initial"):
        startup._refuse_other_versions()


@contextmanager
def applied(app: str, name: str):
    """A migration that the database has and this version does not know."""
    row = "app = %s AND name = %s"
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, now())", [app, name]
        )
        try:
            yield
        finally:
            cursor.execute(f"DELETE FROM django_migrations WHERE {row}", [app, name])


@pytest.fixture
def redis_with_password():
    with redis_server("--requirepass", "right") as (port, _):
        yield port


def test_redis_that_can_never_work_is_refused(redis_with_password, settings):
    settings.REDIS_URL = f"redis://:wrong@127.0.0.1:{redis_with_password}/0"
    (error,) = checks.check_redis()
    assert "LLMRING_REDIS_URL" in error.msg and "wrong" not in error.msg
    settings.REDIS_URL = f"redis://:right@127.0.0.1:{redis_with_password}/99"
    (error,) = checks.check_redis()
    assert "out of range" in error.msg
    settings.REDIS_URL = f"redis://:right@127.0.0.1:{redis_with_password}/0"
    assert checks.check_redis() == []


def test_other_service_is_no_redis(settings):
    with listening(lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")) as port:
        settings.REDIS_URL = f"redis://127.0.0.1:{port}/0"
        (error,) = checks.check_redis()
    assert "LLMRING_REDIS_URL" in error.msg


def test_redis_that_is_away_may_come_back(settings):
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    assert checks.check_redis() == []


def test_redis_with_missing_certificates_is_refused(settings):
    with listening(lambda connection: connection.recv(1)) as port:
        settings.REDIS_URL = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs=/no/such/file.pem"
        assert "LLMRING_REDIS_URL" in checks.check_redis()[0].msg


def test_production_finds_its_database_wherever_settings_find_it(tmp_path):
    """In `.env` and in a file too; the refusal that follows shows that it was found."""
    assert "must be set with --env prod" in refusal(start(tmp_path / "data", "--env", "prod"))
    address = "postgresql://me@127.0.0.1:9/logs?sslmode=sometimes"
    (tmp_path / "url").write_text(address)
    secret_file = {"LLMRING_DATABASE_URL_FILE": str(tmp_path / "url")}
    assert "sslmode" in refusal(start(tmp_path / "data", "--env", "prod", **secret_file))
    (tmp_path / ".env").write_text(f"LLMRING_DATABASE_URL={address}\n")
    assert "sslmode" in refusal(start(tmp_path / "data", "--env", "prod"))


@pytest.mark.parametrize(
    "arguments",
    [["help"], ["check"], ["generatereceiptkey"], ["createkey", "--help"], ["--version"], []],
    ids=" ".join,
)
def test_command_without_need_of_a_database_starts_none(tmp_path, arguments):
    done = subprocess.run(
        [sys.executable, "-m", "llmring_server.cli", "manage", *arguments],
        env={"PATH": os.environ["PATH"], "LLMRING_DATA_DIR": str(tmp_path / "data")},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "data").exists()


def test_argument_that_is_not_utf_8_is_refused(tmp_path, new_data_dir):
    """It would end in a traceback of the database, unless it is the name of a file."""
    command = [sys.executable, ROOT / "manage.py"]
    environment = {"PATH": os.environ["PATH"], "LLMRING_DATA_DIR": str(new_data_dir)}
    options = {"env": environment, "cwd": tmp_path, "capture_output": True, "text": True}
    done = subprocess.run([*command, "createkey", b"caf\xe9"], **options)
    assert done.returncode == 1
    assert done.stderr == "error: arguments must be text in UTF-8, got 'caf\\udce9'\n"
    Path(os.fsdecode(bytes(tmp_path) + b"/caf\xe9")).write_bytes(b"")
    done = subprocess.run([*command, "importlogs", "--project", "p", b"caf\xe9"], **options)
    assert "UTF-8" not in done.stderr


def test_command_without_tables_says_how_to_get_them(new_data_dir):
    done = subprocess.run(
        [sys.executable, ROOT / "manage.py", "listkeys"],
        env={"PATH": os.environ["PATH"], "LLMRING_DATA_DIR": str(new_data_dir)},
        capture_output=True,
        text=True,
    )
    assert "run `llmring-db migrate`" in refusal(done)


def test_database_without_room_is_one_line():
    with pytest.raises(SystemExit) as end, startup.exit_on_config_error():
        raise OperationalError('could not extend file "base/1": No space left on device\nHINT: …')
    assert end.value.code == (
        "error: the database of LLMRING_DATA_DIR cannot be used: "
        'could not extend file "base/1": No space left on device HINT: …'
    )


def test_two_that_migrate_at_once_take_turns(new_data_dir):
    command = [sys.executable, ROOT / "manage.py", "migrate"]
    environment = {"PATH": os.environ["PATH"], "LLMRING_DATA_DIR": str(new_data_dir)}
    options = {"env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    both = [subprocess.Popen(command, text=True, **options) for _ in range(2)]
    outputs = sorted((process.communicate(timeout=120)[0] for process in both), key=len)
    assert [process.returncode for process in both] == [0, 0], outputs
    assert "No migrations to apply." in outputs[0]


def test_step_that_a_killed_server_committed_meanwhile_is_seen(monkeypatch):
    """Its COMMIT may be on its way while the next server reads what is applied."""
    calls = []

    def migrate(*arguments, **options) -> None:
        calls.append(arguments)
        if len(calls) == 1:
            raise ProgrammingError('relation "auth_permission" already exists')

    monkeypatch.setattr(management, "call_command", migrate)
    startup._migrate()
    assert len(calls) == 2


KILLED = """
import os, sys
from django.db.migrations.executor import MigrationExecutor
original = MigrationExecutor.record_migration
def record(self, migration):
    if (migration.app_label, migration.name) == tuple(sys.argv[1].split(".")):
        os._exit(9)
    original(self, migration)
MigrationExecutor.record_migration = record
from llmring_site.cli import database
database(["migrate"])
"""


@pytest.mark.parametrize("migration", ["auth.0001_initial", "usage.0001_schema"])
def test_server_killed_before_it_recorded_a_migration_starts_again(new_data_dir, migration):
    environment = {"PATH": os.environ["PATH"], "LLMRING_DATA_DIR": str(new_data_dir)}
    killed = subprocess.run([sys.executable, "-c", KILLED, migration], env=environment, cwd=ROOT)
    assert killed.returncode == 9
    again = subprocess.run(
        [sys.executable, "-c", "from llmring_site.cli import database; database(['migrate'])"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert again.returncode == 0, again.stderr
    assert "0 pending" in again.stdout
