from django.db import migrations


class Migration(migrations.Migration):
    """A project that is archived, or a limit that is moved, reaches every worker as a key does."""

    dependencies = [("accounts", "0004_allowance_functions")]
    operations = [
        migrations.RunSQL(
            """
            CREATE TRIGGER notify_key_changes AFTER UPDATE OR DELETE OR TRUNCATE ON projects
                FOR EACH STATEMENT EXECUTE FUNCTION notify_key_changes();
            -- Not for each call: what counts is not among these columns.
            CREATE TRIGGER notify_key_changes
                AFTER UPDATE OF max_requests, requests_per_minute, budget_usd ON allowances
                FOR EACH STATEMENT EXECUTE FUNCTION notify_key_changes();
            """,
            """
            DROP TRIGGER notify_key_changes ON projects;
            DROP TRIGGER notify_key_changes ON allowances;
            """,
        )
    ]
