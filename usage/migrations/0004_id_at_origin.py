import django.contrib.postgres.indexes
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("usage", "0003_find_exceptional_logs"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="usagelog",
            index=django.contrib.postgres.indexes.BrinIndex(
                autosummarize=True,
                fields=["id_at_origin"],
                name="usage_logs_id_at_origin",
                opclasses=["text_bloom_ops"],
            ),
        ),
    ]
