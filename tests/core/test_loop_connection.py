"""Statements on the event loop: what they return, and what a lost connection looks like."""

import asyncio
from decimal import Decimal

import psycopg
import pytest
from django.db import connection

from core.database.loop_connection import LoopConnection
from tests.threads import giving_back

pytestmark = pytest.mark.django_db(transaction=True)


def run(story):
    """Run `story(connection)`, and close the connection."""

    async def whole():
        own = await LoopConnection.open()
        try:
            return await asyncio.wait_for(story(own), 60)
        finally:
            await own.close()

    return asyncio.run(whole())


async def execute(own: LoopConnection, sql: str, *parameters: str, prepares: bool = True):
    values = [text.encode() for text in parameters]
    return await own.execute(sql.encode(), values, prepares=prepares)


def terminate(pid: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        assert cursor.fetchone() == (True,)


async def loss_of(own: LoopConnection) -> None:
    while not own.is_broken:
        await asyncio.sleep(0)


@pytest.mark.parametrize("prepares", [True, False])
def test_rows_have_the_types_of_their_columns(prepares):
    async def story(own):
        sql = "SELECT $1::text, ARRAY[1, 2], 1.50::numeric, true, NULL::int"
        return [await execute(own, sql, "é", prepares=prepares) for _ in range(2)]

    first, second = run(story)
    assert first == second == [("é", [1, 2], Decimal("1.50"), True, None)]


def test_statement_without_rows_returns_none():
    async def story(own):
        return await execute(own, "CREATE TEMPORARY TABLE noted (a text)")

    assert run(story) == []


def test_statement_is_prepared_once():
    async def story(own):
        for _ in range(3):
            await execute(own, "SELECT $1::text", "x")
        return await execute(own, "SELECT count(*) FROM pg_prepared_statements", prepares=False)

    assert run(story) == [(1,)]


def test_parameter_that_the_socket_does_not_take_at_once():
    async def story(own):
        return await execute(own, "SELECT length($1::text), md5($1::text)", "x" * 30_000_000)

    [(length, _)] = run(story)
    assert length == 30_000_000


def test_refused_statement_leaves_the_connection_usable():
    async def story(own):
        with pytest.raises(psycopg.errors.DivisionByZero) as refusal:
            await execute(own, "SELECT 1 / $1::int", "0")
        assert refusal.value.sqlstate == "22012"
        with pytest.raises(psycopg.errors.SyntaxError):
            await execute(own, "SELEC")
        return await execute(own, "SELECT 1 / $1::int", "1")

    assert run(story) == [(1,)]


def test_notice_between_statements_is_no_answer():
    async def story(own):
        await execute(own, "SELECT set_config('client_min_messages', 'notice', false)")
        await execute(own, "DO $$ BEGIN RAISE NOTICE 'listen'; END $$", prepares=False)
        return await execute(own, "SELECT $1::text", "x")

    assert run(story) == [("x",)]


def test_connection_that_is_lost_while_idle_is_known_to_be():
    async def story(own):
        [(pid,)] = await execute(own, "SELECT pg_backend_pid()")
        await asyncio.to_thread(giving_back(terminate), pid)
        await loss_of(own)
        with pytest.raises(psycopg.OperationalError):
            await execute(own, "SELECT 1")

    run(story)


def test_connection_that_is_lost_in_a_statement_is_an_operational_error():
    async def story(own):
        [(pid,)] = await execute(own, "SELECT pg_backend_pid()")
        waiting = asyncio.ensure_future(execute(own, "SELECT pg_sleep(60)"))
        while not await asyncio.to_thread(giving_back(is_active), pid):
            pass
        await asyncio.to_thread(giving_back(terminate), pid)
        with pytest.raises(psycopg.OperationalError):
            await waiting
        await loss_of(own)

    run(story)


def is_active(pid: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT state FROM pg_stat_activity WHERE pid = %s", [pid])
        return cursor.fetchone() == ("active",)


def test_whoever_waits_hears_that_the_connection_was_closed():
    async def story(own):
        waiting = asyncio.ensure_future(execute(own, "SELECT pg_sleep(60)", prepares=False))
        await asyncio.sleep(0)
        await own.close()
        with pytest.raises(psycopg.OperationalError):
            await waiting

    run(story)


def test_closing_after_a_statement_was_canceled():
    async def story(own):
        waiting = asyncio.ensure_future(execute(own, "SELECT pg_sleep(60)"))
        await asyncio.sleep(0)
        waiting.cancel()
        await own.close()
        await own.close()
        assert own.is_broken

    run(story)
