from django.db import migrations


class Migration(migrations.Migration):
    """A project that is archived reaches every worker as a revoked key does."""

    dependencies = [("accounts", "0004_allowance_functions")]
    operations = [
        migrations.RunSQL(
            """
            CREATE TRIGGER notify_key_changes AFTER UPDATE OR DELETE OR TRUNCATE ON projects
                FOR EACH STATEMENT EXECUTE FUNCTION notify_key_changes();
            """,
            "DROP TRIGGER notify_key_changes ON projects;",
        )
    ]
