from django.conf import settings
from django.db import migrations

from core.database.operations import create_schema


class Migration(migrations.Migration):
    """Create both schemas before any table, also those of Django's own apps."""

    initial = True
    run_before = [
        ("admin", "0001_initial"),
        ("contenttypes", "0001_initial"),
        ("sessions", "0001_initial"),
    ]
    operations = [
        migrations.RunSQL(create_schema(schema), migrations.RunSQL.noop)
        for schema in (settings.DATABASE_SCHEMA, settings.MCP_SCHEMA)
    ]
