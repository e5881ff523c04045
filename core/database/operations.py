"""Tables in another schema than the first one of the search path."""

from django.conf import settings
from django.db import migrations


def create_schema(name: str) -> str:
    """Return the statement that creates a schema unless it exists.

    `IF NOT EXISTS` needs the right to create schemas, even where there is nothing to create.
    """
    create = f"IF to_regnamespace('{name}') IS NULL THEN CREATE SCHEMA {name}; END IF"
    return f"DO $$ BEGIN {create}; END $$"


class InSchema(migrations.RunSQL):
    """Puts the tables that its migration creates after it into `schema`.

    It lasts for that migration's transaction. Reversing needs nothing: names
    are found through the connection's search path.
    """

    def __init__(self, schema: str) -> None:
        self.schema = schema
        super().__init__(
            sql=f"SET LOCAL search_path TO {schema}, {settings.DATABASE_SCHEMA}",
            reverse_sql=self.noop,
        )

    def deconstruct(self):
        return type(self).__name__, [self.schema], {}
