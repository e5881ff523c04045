"""Custom prices of the same models never overlap in time.

The equality of several columns is one of 64-bit hashes, as ranges of one number:
so the constraint needs no extension, which a hosted database may not offer.
"""

from django.db import migrations

_SAME = (
    "hashtextextended(coalesce(project_id::text, '') || E'\\n' || lower(provider) || E'\\n' || "
    "lower(model) || E'\\n' || modifier, 0)"
)


class Migration(migrations.Migration):
    dependencies = [("registry_proxy", "0001_schema")]

    operations = [
        migrations.RunSQL(
            f"""
            ALTER TABLE custom_prices ADD CONSTRAINT custom_prices_ranges_apart EXCLUDE USING gist (
                int8range({_SAME}, {_SAME}, '[]') WITH &&,
                tstzrange(valid_from, valid_to) WITH &&
            )
            """,
            "ALTER TABLE custom_prices DROP CONSTRAINT custom_prices_ranges_apart",
        )
    ]
