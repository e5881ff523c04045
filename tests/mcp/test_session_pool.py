"""Sessions that are shared: none may be left open with nobody to end it."""

import threading
from dataclasses import replace

import pytest

from core.ids import uuid7
from mcp.client import session_pool
from mcp.client.duplex import Duplex
from mcp.client.mcp_errors import HttpError
from mcp.client.negotiation import Target
from mcp.client.session import Session
from mcp.client.session_pool import Pool, TooBusy


@pytest.fixture
def opened(monkeypatch):
    """Events, one for each session that was opened, set when it is closed."""
    closed = []

    def open_session(target: Target) -> Session:
        event = threading.Event()
        closed.append(event)
        return Session(Duplex(send=lambda message: None, close=event.set))

    monkeypatch.setattr(session_pool, "open_session", open_session)
    return closed


def target(**members) -> Target:
    ids = {"id": uuid7(), "project_id": uuid7()}
    return Target(**{**ids, "url": "http://a.b/", "transport": "sse", **members})


def use(pool: Pool, place: Target) -> None:
    pool.call(place, lambda session: None)


def test_session_is_used_again_until_the_registration_changes(opened):
    pool, first = Pool(), target()
    use(pool, first)
    use(pool, first)
    assert len(opened) == 1
    use(pool, replace(first, url="http://c.d/"))
    assert len(opened) == 2
    assert opened[0].wait(5)


def test_session_that_is_opened_while_its_server_is_deleted_is_closed(opened, monkeypatch):
    pool, place = Pool(), target()
    begun, deleted = threading.Event(), threading.Event()
    open_now = session_pool.open_session

    def open_slowly(target: Target) -> Session:
        begun.set()
        deleted.wait(5)
        return open_now(target)

    monkeypatch.setattr(session_pool, "open_session", open_slowly)
    caller = threading.Thread(target=use, args=[pool, place])
    caller.start()
    assert begun.wait(5)
    pool.forget(place.id)
    deleted.set()
    caller.join()
    assert opened[0].wait(5)


def test_refresh_of_a_server_that_is_deleted_meanwhile_leaves_no_session(opened):
    pool, place = Pool(), target()
    with pool.fresh_session(place):
        pool._slots[place.id].close()
    assert opened[0].wait(5)


def test_stream_that_does_not_take_messages_is_closed(opened):
    pool, place = Pool(), target()

    def fail(session):
        raise HttpError(500)

    with pytest.raises(HttpError):
        pool.call(place, fail)
    assert opened[0].wait(5)
    use(pool, place)
    assert len(opened) == 2


def test_session_that_was_idle_the_longest_gives_way(opened, monkeypatch):
    monkeypatch.setattr(session_pool, "_MAX_SESSIONS", 2)
    pool = Pool()
    for _ in range(3):
        use(pool, target())
    assert opened[0].wait(5)
    assert not opened[1].is_set()


def test_refreshed_session_replaces_the_one_in_use(opened):
    pool, place = Pool(), target()
    use(pool, place)
    with pool.fresh_session(place) as fresh:
        assert not opened[0].is_set()
    assert opened[0].wait(5)
    assert pool.call(place, lambda session: session) is fresh


def test_one_project_leaves_room_for_the_others(opened, monkeypatch):
    monkeypatch.setattr(session_pool, "_MAX_CALLS_PER_PROJECT", 1)
    pool, first = Pool(), target()

    def use_others(session):
        with pytest.raises(TooBusy):
            use(pool, target(project_id=first.project_id))
        use(pool, target())

    pool.call(first, use_others)
    use(pool, first)
