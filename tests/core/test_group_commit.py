"""Group commit without a database: who is answered when, and how every failure arrives."""

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.db import connection

from core import bridge
from core.database import group_commit, loop_connection
from core.database.group_commit import MAX_GROUP, GroupWriter
from core.errors import DatabaseUnavailable

pytestmark = pytest.mark.django_db(transaction=True)


class Store:
    """Records the groups it is given; each statement waits until it is let through."""

    def __init__(self, *failures: BaseException) -> None:
        self.groups: list[list] = []
        self.failures = list(failures)
        self.gate = asyncio.Event()

    async def __call__(self, execute, items):
        self.groups.append(list(items))
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        return [f"stored {item}" for item in items]


async def outcomes(writer: GroupWriter, store: Store, items, after=None) -> list:
    """What each of the items, written at once, comes to."""
    tasks = [asyncio.ensure_future(writer.write(item)) for item in items]
    while not store.groups:
        await asyncio.sleep(0)
    if after is not None:
        after(tasks)
    store.gate.set()
    return await asyncio.gather(*tasks, return_exceptions=True)


def written(store: Store, items, after=None) -> list:
    return asyncio.run(outcomes(GroupWriter(store), store, items, after))


def test_items_that_arrive_together_are_one_group_in_their_order():
    store = Store()
    assert written(store, [1, 2, 3]) == ["stored 1", "stored 2", "stored 3"]
    assert store.groups == [[1, 2, 3]]


def test_items_that_arrive_meanwhile_form_the_next_group():
    store, later = Store(), []
    writer = GroupWriter(store)

    def arrive(tasks):
        later.extend(asyncio.ensure_future(writer.write(item)) for item in (2, 3))

    async def story():
        first = await outcomes(writer, store, [1], arrive)
        return first + await asyncio.gather(*later)

    assert asyncio.run(story()) == ["stored 1", "stored 2", "stored 3"]
    assert store.groups == [[1], [2, 3]]


def test_groups_are_bounded():
    store = Store()
    written(store, range(2 * MAX_GROUP + 1))
    assert [len(group) for group in store.groups] == [MAX_GROUP, MAX_GROUP, 1]


@pytest.mark.parametrize(
    "failure", [psycopg.OperationalError("gone"), psycopg.errors.DeadlockDetected("dead")]
)
def test_lost_connection_is_tried_again(failure):
    store = Store(failure, failure)
    assert written(store, [1, 2]) == ["stored 1", "stored 2"]
    assert len(store.groups) == 3


def test_database_that_stays_away_fails_everybody():
    store = Store(*[psycopg.OperationalError("gone")] * 3)
    assert [type(error) for error in written(store, [1, 2])] == [DatabaseUnavailable] * 2


def test_bad_item_fails_alone():
    class Picky(Store):
        async def __call__(self, execute, items):
            stored = await super().__call__(execute, items)
            if "bad" in items:
                raise psycopg.DataError("too long")
            return stored

    first, bad, last = written(Picky(), ["a", "bad", "c"])
    assert (first, last) == ("stored a", "stored c")
    assert isinstance(bad, psycopg.DataError)


def test_a_statement_that_was_canceled_is_not_repeated():
    """It has waited as long as statements may, perhaps for a lock that others hold."""
    store = Store(psycopg.errors.QueryCanceled("statement timeout"))
    assert [type(error) for error in written(store, [1, 2])] == [DatabaseUnavailable] * 2
    assert store.groups == [[1, 2]]


def test_bug_in_the_store_reaches_everybody():
    assert [type(error) for error in written(Store(KeyError("x")), [1, 2])] == [KeyError] * 2


@pytest.mark.parametrize("ending", [SystemExit(1), KeyboardInterrupt()])
def test_ending_of_the_process_is_nobodys_success(ending):
    """The loop ends with it; whoever still gets an answer gets a failure."""
    store, answers = Store(ending), []

    async def story():
        writer = GroupWriter(store)
        tasks = [asyncio.ensure_future(writer.write(item)) for item in (1, 2)]
        for task in tasks:
            task.add_done_callback(answers.append)
        store.gate.set()
        await asyncio.gather(*tasks, return_exceptions=True)

    with pytest.raises(type(ending)):
        asyncio.run(story())
    assert len(answers) == 2
    assert all(task.cancelled() or task.exception() for task in answers)


def test_killed_task_fails_its_group_and_the_next_one_is_written():
    store = Store()
    writer = GroupWriter(store)

    def kill(tasks):
        tasks.append(asyncio.ensure_future(writer.write(3)))
        [queue] = writer._queues.values()
        asyncio.get_running_loop().call_soon(queue._task.cancel)

    first, second, third = asyncio.run(outcomes(writer, store, [1, 2], kill))
    assert isinstance(first, DatabaseUnavailable) and isinstance(second, DatabaseUnavailable)
    assert third == "stored 3"


def test_an_observer_that_fails_keeps_no_caller_waiting(monkeypatch):
    def fail(size, seconds):
        raise OSError("no room for metrics")

    monkeypatch.setattr(group_commit, "_observers", [fail])
    assert written(Store(), [1, 2]) == ["stored 1", "stored 2"]
    store = Store()
    writer = GroupWriter(store)

    def kill(tasks):
        asyncio.get_running_loop().call_soon(writer._queue()._task.cancel)

    answers = asyncio.run(asyncio.wait_for(outcomes(writer, store, [1, 2], kill), 10))
    assert [type(answer) for answer in answers] == [DatabaseUnavailable] * 2


def test_caller_that_goes_away_does_not_disturb_the_others():
    store = Store()
    gone, stays = written(store, [1, 2], lambda tasks: tasks[0].cancel())
    assert isinstance(gone, asyncio.CancelledError)
    assert stays == "stored 2"


def test_threads_submit_to_the_loop_of_the_process():
    store = Store()
    writer = GroupWriter(store)

    async def write(item):
        store.gate.set()
        return await writer.write(item)

    with ThreadPoolExecutor(8) as pool:  # not in the thread of the test's transaction
        answers = list(pool.map(lambda item: bridge.run(write(item)), range(50)))
    assert answers == [f"stored {item}" for item in range(50)]
    assert Counter(item for group in store.groups for item in group) == Counter(range(50))


def test_items_of_a_session_that_does_not_answer_go_through_another(monkeypatch, settings):
    settings.STATEMENT_TIMEOUT_SECONDS = 0
    monkeypatch.setattr(loop_connection, "_SILENCE_SECONDS", 0.5)
    sessions = []

    async def store(execute, items):
        [(pid,)] = await execute("SELECT pg_backend_pid()", [])
        sessions.append(pid)
        if len(sessions) == 1:
            await execute("SELECT pg_sleep(60)", [])
        return items

    async def story():
        writer = GroupWriter(store)
        try:
            return await asyncio.wait_for(writer.write(1), 30)
        finally:
            await writer.close()

    assert asyncio.run(story()) == 1
    first, second = sessions
    assert first != second


def test_rows_are_found_by_their_keys_though_the_table_was_empty_at_first():
    """A table of pending calls is empty at first, and full of dead rows later."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM gateway_calls")

    async def explain(execute, items):
        question = "EXPLAIN SELECT FROM gateway_calls WHERE id = %s::uuid"
        return [await execute(question, [item]) for item in items]

    async def story():
        writer = GroupWriter(explain)
        try:
            return await writer.write("00000000-0000-0000-0000-000000000000")
        finally:
            await writer.close()

    plan = asyncio.run(story())
    assert "using gateway_calls_pkey" in plan[0][0]


@pytest.mark.django_db
def test_write_inside_a_transaction_becomes_part_of_it():
    from django.contrib.auth.models import Group
    from django.db import transaction

    async def store(execute, items):
        for item in items:
            await execute("INSERT INTO auth_group (name) VALUES (%s)", [item])
        return items

    writer = GroupWriter(store)
    with transaction.atomic():
        assert bridge.run(writer.write("kept")) == "kept"
        assert Group.objects.filter(name="kept").exists()
        transaction.set_rollback(True)
    assert not Group.objects.filter(name="kept").exists()


@pytest.mark.django_db
def test_waiting_inside_a_transaction_is_refused():
    with pytest.raises(RuntimeError, match="waited inside a transaction"):
        bridge.run(asyncio.sleep(0))
