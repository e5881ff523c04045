from django.db import migrations


class Migration(migrations.Migration):
    """Any change of a key, by whatever program, reaches every worker (accounts/key_cache.py)."""

    dependencies = [("accounts", "0001_schema")]
    operations = [
        migrations.RunSQL(
            """
            CREATE FUNCTION notify_key_changes() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                PERFORM pg_notify('llmring_keys', '');
                RETURN NULL;
            END $$;
            CREATE TRIGGER notify_key_changes AFTER UPDATE OR DELETE OR TRUNCATE ON api_keys
                FOR EACH STATEMENT EXECUTE FUNCTION notify_key_changes();
            """,
            """
            DROP TRIGGER notify_key_changes ON api_keys;
            DROP FUNCTION notify_key_changes();
            """,
        )
    ]
