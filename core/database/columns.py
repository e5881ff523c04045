"""Columns of a model's table, for statements that the ORM cannot make."""

from collections.abc import Collection

from django.db import connection, models


def column_types(model: type[models.Model], *, without: Collection[str] = ()) -> dict[str, str]:
    """Return the PostgreSQL type of each column, by its name, in the model's order."""
    return {
        field.column: field.db_type(connection)
        for field in model._meta.local_concrete_fields
        if field.column not in without
    }


def recordset(parameter: str, types: dict[str, str], alias: str) -> str:
    """Return the SQL of a row source that reads columns from a parameter, a JSON list of objects.

    PostgreSQL reads JSON for a fraction of what binding each column costs.
    """
    definitions = ", ".join(f"{name} {type}" for name, type in types.items())
    return f"json_to_recordset({parameter}::json) AS {alias}({definitions})"
