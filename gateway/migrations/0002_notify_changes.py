from django.db import migrations

_TABLES = ("gateway_tokens", "gateway_upstreams", "gateway_upstream_keys")
_TRIGGER = """
CREATE TRIGGER notify_key_changes AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION notify_key_changes();
"""


class Migration(migrations.Migration):
    """A change of a token, an upstream or its key reaches every worker as one of an API key does.

    (accounts/key_cache.py)
    """

    dependencies = [("gateway", "0001_schema"), ("accounts", "0004_allowance_functions")]
    operations = [
        migrations.RunSQL(
            "".join(_TRIGGER.format(table=table) for table in _TABLES),
            "".join(f"DROP TRIGGER notify_key_changes ON {table};" for table in _TABLES),
        ),
    ]
