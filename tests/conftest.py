"""What every test shares: the database, and clients of two projects.

`api` and `other_api` are clients of two projects, `anonymous` has no key. They
speak to the same application as the production server, edge included.
"""

import gc
import os
import signal
import socket
from hashlib import sha256
from pathlib import Path

import psutil
import pytest
from django.conf import settings

from tests import emptying
from tests.threads import check_given_back, held_by_threads


def pytest_configure(config):
    gc.disable()  # until all tests are collected: none of what is made until then is garbage
    from llmring_site import startup

    startup.use_database()
    _trade_durability_for_speed()
    emptying.use_quick_emptying()
    # A million rounds for each person that a test makes would be half a second.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def pytest_xdist_auto_num_workers(config):
    """One more than processors: a worker waits a sixth of its time, for PostgreSQL and peers.

    Not where tests start servers, which have processes enough.
    """
    return os.cpu_count() + ("not (servers" in config.option.markexpr)


def pytest_sessionstart(session):
    """Have a worker ask at once how often a test has failed.

    pytest-rerunfailures sends two short messages for each test, and the second would wait
    until the first is acknowledged: up to 40 ms.
    """
    asking = getattr(getattr(session.config, "failures_db", None), "sock", None)
    if asking:
        asking.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


# Whole pages take a third of the time.
_PAGES = ("people/*", "*/test_admin*", "*/test_*page*", "site/test_dashboard.py")
_with_a_case: set[str] = set()  # tests of which a case was collected


def pytest_itemcollected(item):
    """Mark what the default run leaves out, and `.ci/run` does not.

    That is all cases of a test but the first, and the tests of pages. Only when all tests are
    collected: who names a file or a test wants all of it.
    """
    config = item.config
    named = [config.invocation_params.dir / path for path in config.args]
    if named != [config.rootpath / path for path in config.getini("testpaths")]:
        return
    if any(map(item.path.match, _PAGES)):
        item.add_marker("pages")
    test = item.nodeid.partition("[")[0]
    if test in _with_a_case:
        item.add_marker("more_cases")
    _with_a_case.add(test)


# Whole folders whose stories have several connections: servers, threads that call peers.
_WITH_REAL_COMMITS = ("mcp", "released_client", "site")


def pytest_collection_modifyitems(items):
    for item in items:
        folder = Path(item.fspath).parent.name
        if folder in _WITH_REAL_COMMITS and "db_all" in item.fixturenames:
            item.add_marker(pytest.mark.django_db(transaction=True), append=False)


def pytest_collection_finish():
    """Have the garbage collector leave alone what stays to the end, as the server does."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    gc.enable()


def pytest_terminal_summary(terminalreporter):
    """Show why tests were tried again: most pass then, and nobody would look for the reason."""
    for report in terminalreporter.stats.get("rerun", ()):
        terminalreporter.write_sep("_", f"tried again: {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)


def _trade_durability_for_speed():
    """Tests of durability start servers of their own; what is lost here is made anew."""
    from core.database import raw_connection

    with raw_connection.connect() as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")


def _migrations() -> str:
    files = sorted(Path(settings.BASE_DIR).glob("*/migrations/*.py"))
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _migrated() -> Path:
    """The file that says which migrations made this worker's database."""
    return settings.DATA_DIR / f"migrated-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"


@pytest.fixture(scope="session")
def django_db_keepdb():
    """Leave the database to the next run; connections of background threads may be open."""
    return True


@pytest.fixture(scope="session")
def django_db_createdb():
    """Make the database anew only when a migration has changed since it was made."""
    record = _migrated()
    is_current = record.exists() and record.read_text() == _migrations()
    record.unlink(missing_ok=True)
    return not is_current


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        emptying.make_function()
    _migrated().write_text(_migrations())
    yield
    emptying.close()


@pytest.fixture
def tmp_path(tmp_path):
    """pytest's folder, which PostgreSQL can enter too when the tests run as root.

    Servers that were killed there have left theirs.
    """
    from core.database.embedded import EmbeddedPostgres
    from tests.server import open_to_postgresql

    yield open_to_postgresql(tmp_path)
    for directory in tmp_path.glob("*/postgres"):
        if left := EmbeddedPostgres(directory.parent).postmaster():
            left.send_signal(signal.SIGINT)
            psutil.wait_procs([left], 30)


@pytest.fixture(scope="session")
def first_start(tmp_path_factory):
    from tests.first_start import FirstStart
    from tests.server import open_to_postgresql

    return FirstStart(open_to_postgresql(tmp_path_factory.mktemp("first-start")) / "data")


@pytest.fixture
def data_dir(first_start, tmp_path):
    """For a server of its own, which was started before."""
    return first_start.copy(tmp_path / "data")


@pytest.fixture
def new_data_dir(tmp_path):
    """For a server of its own, which is started for the first time."""
    return tmp_path / "data"


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix):
    """Each pytest-xdist worker has its own database."""


@pytest.fixture(scope="session", autouse=True)
def _no_refresh_in_background():
    """MCP servers are called when a test says so: the threads would stay, and call later ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mcp.background_refresh.start", lambda: None)
        yield


@pytest.fixture(scope="session")
def _own_connections(django_db_setup, django_db_blocker):
    """What a serving process runs beside Django: the key listener and the writers."""
    from accounts.key_cache import listener
    from core import bridge
    from core.database.group_commit import close_writers

    with django_db_blocker.unblock():
        listener.start()
        assert listener.listening.wait(10)
        yield
        listener.stop()
        bridge.run(close_writers())


@pytest.fixture
def db_all(request, db, monkeypatch):
    """The database, all of it undone after the test.

    A test whose story has a second connection (threads, a live server, what a process
    caches and hears of) is marked `django_db(transaction=True)` and gets real commits.
    """
    from django.db import connection

    from accounts.key_cache import listener

    marker = request.node.get_closest_marker("django_db")
    if marker and marker.kwargs.get("transaction"):
        request.getfixturevalue("_own_connections")
        yield
        return

    def forget_keys(execute, sql, *details):
        """What changes something inside a transaction is heard by nobody else."""
        try:
            return execute(sql, *details)
        finally:
            if not sql.startswith(("SELECT", "INSERT", "SAVEPOINT", "RELEASE", "SET")):
                listener._forget()

    monkeypatch.setattr("accounts.key_cache.KeyListener.is_healthy", True)
    listener._forget()
    with connection.execute_wrapper(forget_keys):
        yield


@pytest.fixture(autouse=True)
def _connections_given_back():
    held_before = held_by_threads()
    yield
    check_given_back(held_before)


@pytest.fixture
def bridge_mode(settings):
    """Any text a client brings as its key opens a project of its own."""
    settings.API_KEY_VALIDATION_MODE = "bridge"


@pytest.fixture
def project(db_all):
    from accounts.models import Project

    return Project.objects.create(name="ours")


@pytest.fixture
def other_project(db_all):
    from accounts.models import Project

    return Project.objects.create(name="theirs")


@pytest.fixture
def api(project):
    from tests.client import ApiClient

    return ApiClient.of(project)


@pytest.fixture
def other_api(other_project):
    from tests.client import ApiClient

    return ApiClient.of(other_project)


@pytest.fixture
def anonymous(db_all):
    from tests.client import ApiClient

    return ApiClient()


@pytest.fixture(params=["edge", "views"])
def way(request, monkeypatch):
    """Have requests served by the edge, or by Django's views alone."""
    if request.param == "views":
        monkeypatch.setenv("VIEWS", "1")


@pytest.fixture(autouse=True)
def registry_away(monkeypatch):
    """The public registry is away, as this process knows: it need not try in each test."""
    from registry_proxy import client, snapshots
    from tests.registry_proxy.upstream import StubUpstream, give_up, restart

    restart()
    give_up()
    stub = StubUpstream(down=True)
    monkeypatch.setattr(client, "open_session", stub.session)
    # The bundled copy would price what these tests expect to be unpriced; it has its own.
    monkeypatch.setattr(snapshots, "take_bundled", lambda **when: None)
    return stub


@pytest.fixture
def upstream(registry_away):
    """The public registry: away, until a test calls its `publish()`.

    Each test is a process that has just started and knows nothing of it.
    """
    from registry_proxy.current_registry import current

    current.reset()
    return registry_away
