"""Columns of a model's table, for statements that the ORM cannot express."""

from collections.abc import Collection
from typing import Any

from django.db import connection, models


def column_types(model: type[models.Model], *, without: Collection[str] = ()) -> dict[str, str]:
    """Return the PostgreSQL type of each column, by its name, in the model's order."""
    return {
        field.column: field.db_type(connection)
        for field in model._meta.local_concrete_fields
        if field.column not in without
    }


def insert_sql(table: str, types: dict[str, str], *, values: str = "new.*") -> str:
    """Return the statement that inserts a JSON list of rows, or `values` computed from them."""
    rows = recordset(types, "new")
    return f"INSERT INTO {table} ({', '.join(types)}) SELECT {values} FROM {rows}"


def stored_values(row: models.Model) -> dict[str, Any]:
    """Return the values of a new row by column, as Django would save them."""
    return {field.column: field.pre_save(row, True) for field in row._meta.local_concrete_fields}


def recordset(types: dict[str, str], alias: str) -> str:
    """Return the SQL of a row source that reads columns from a parameter, a JSON list of objects.

    PostgreSQL reads JSON for a fraction of what binding each column costs.
    """
    definitions = ", ".join(f"{name} {type}" for name, type in types.items())
    return f"json_to_recordset(%s::json) AS {alias}({definitions})"
