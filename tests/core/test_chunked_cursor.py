"""Reading rows in chunks, also where a pooler gives each statement to another session."""

import pytest
from django.db import connection, transaction

from accounts.models import Project

NAMES = ["one", "two", "three"]


def rows():
    projects = [Project(name=name) for name in NAMES]
    Project.objects.bulk_create(projects)
    return Project.objects.filter(id__in=[project.id for project in projects]).order_by("id")


@pytest.mark.django_db(transaction=True)
def test_rows_outlast_their_session():
    names = rows().values_list("name", flat=True).iterator(chunk_size=1)
    first = next(names)
    with connection.cursor() as cursor:
        cursor.execute("CLOSE ALL")  # the next statement reaches another session
    assert [first, *names] == NAMES


@pytest.mark.django_db(transaction=True)
def test_rows_of_a_transaction_come_in_chunks():
    """A pooler leaves the session to it, and one chunk is in memory at a time."""
    with transaction.atomic():
        names = rows().values_list("name", flat=True).iterator(chunk_size=1)
        first = next(names)
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_cursors WHERE name LIKE '\\_django%%'", [])
            assert cursor.fetchone() == (1,)
        assert [first, *names] == NAMES
