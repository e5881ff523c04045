"""Where tables are, and what their indexes hold, as PostgreSQL has it."""

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection

OURS = [
    model
    for config in apps.get_app_configs()
    if config.path.startswith(str(settings.BASE_DIR)) and ".venv" not in config.path
    for model in config.get_models()
]
# Tables that grow with the calls of a project.
LOG_SIZED = [model for model in OURS if "project_id" in {f.attname for f in model._meta.fields}]
# Keys and invitations are found before their project is known; memberships are few.
ELSEWHERE = {"api_keys", "invitations", "memberships", "gateway_tokens"}


@pytest.mark.django_db
@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.label)
def test_tables_are_in_the_schema_of_their_app(model):
    schema = settings.MCP_SCHEMA if model._meta.app_label == "mcp" else settings.DATABASE_SCHEMA
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", [f"{schema}.{model._meta.db_table}"])
        assert cursor.fetchone()[0] is not None


@pytest.mark.django_db
@pytest.mark.parametrize("model", LOG_SIZED, ids=lambda model: model._meta.label)
def test_unique_indexes_contain_the_project(model):
    if model._meta.db_table in ELSEWHERE:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT index.relname, array_agg(attname::text)
            FROM pg_index
            JOIN pg_class AS index ON index.oid = indexrelid
            JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey)
            WHERE indrelid = %s::regclass AND indisunique AND NOT indisprimary
            GROUP BY 1
            """,
            [model._meta.db_table],
        )
        assert [name for name, columns in cursor.fetchall() if "project_id" not in columns] == []
