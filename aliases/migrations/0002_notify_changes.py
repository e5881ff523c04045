from django.db import migrations


class Migration(migrations.Migration):
    """A changed alias reaches every worker as a changed key does (accounts/key_cache.py).

    Every change is a new revision of its project.
    """

    dependencies = [("aliases", "0001_schema"), ("accounts", "0002_notify_key_changes")]
    operations = [
        migrations.RunSQL(
            """
            CREATE TRIGGER notify_key_changes AFTER INSERT OR UPDATE OR DELETE ON alias_revisions
                FOR EACH STATEMENT EXECUTE FUNCTION notify_key_changes();
            """,
            "DROP TRIGGER notify_key_changes ON alias_revisions;",
        )
    ]
