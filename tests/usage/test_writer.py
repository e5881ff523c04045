"""Group commit: many requests at once, each answered with its own row on disk."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import psycopg
import pytest
from django.db import connection

from core import bridge
from core.database.group_commit import GroupWriter
from core.scoping import Caller
from usage.ledger import insert, insert_group
from usage.log_rows import build_row
from usage.models import DailyUsage, UsageLog
from usage.schemas import LogEntry

pytestmark = pytest.mark.django_db(transaction=True)


def entry(**members) -> LogEntry:
    members = {"cost": Decimal("0.01"), **members}
    return LogEntry(provider="p", model="m", input_tokens=2, output_tokens=1, **members)


def caller_of(api) -> Caller:
    return Caller(project_id=api.project.id, api_key_id=api.api_key_id)


def write(writer, row):
    return bridge.run(writer.write(row))


def write_in_threads(writer, made):
    with ThreadPoolExecutor(32) as pool:
        return [pool.submit(write, writer, row) for row in made]


def with_writer(work):
    writer = GroupWriter(insert_group)
    try:
        return work(writer)
    finally:
        bridge.run(writer.close())


def test_parallel_rows_are_all_stored_and_summed(api):
    made = [build_row(entry(), caller_of(api)) for _ in range(400)]

    written = with_writer(lambda writer: write_in_threads(writer, made))
    assert all(future.result() for future in written)
    assert set(UsageLog.objects.values_list("id", flat=True)) == {row.id for row in made}
    day = DailyUsage.objects.get()
    assert (day.requests, day.cost, day.input_tokens) == (400, Decimal("4"), 800)


def test_event_repeated_by_parallel_requests_is_stored_once(api):
    made = [build_row(entry(), caller_of(api), event_id="e", fingerprint="f") for _ in range(32)]

    written = with_writer(lambda writer: write_in_threads(writer, made))
    assert [future.result() for future in written].count(True) == 1
    assert (UsageLog.objects.count(), DailyUsage.objects.get().requests) == (1, 1)


def test_row_that_the_database_refuses_fails_alone(api):
    """Validation lets no such row through; this is the net below it."""
    good = [build_row(entry(), caller_of(api)) for _ in range(20)]
    bad = build_row(entry(), caller_of(api), event_id="e", fingerprint="f" * 33)

    *written, failed = with_writer(lambda writer: write_in_threads(writer, [*good, bad]))
    assert [future.result() for future in written] == [True] * 20
    assert isinstance(failed.exception(), psycopg.DataError)
    assert UsageLog.objects.count() == 20


def test_statement_repeated_after_a_lost_connection_changes_nothing(api):
    row = build_row(entry(), caller_of(api))
    assert [insert([row]) for _ in range(2)] == [{row.id}, set()]
    assert (UsageLog.objects.count(), DailyUsage.objects.get().requests) == (1, 1)


def test_writer_survives_the_loss_of_its_connection(api):
    def story(writer):
        write(writer, build_row(entry(), caller_of(api)))
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND query LIKE %s AND pid <> pg_backend_pid()",
                ["%incoming AS%"],
            )
            assert cursor.rowcount
        return write(writer, build_row(entry(), caller_of(api)))

    assert with_writer(story)
    assert UsageLog.objects.count() == 2
