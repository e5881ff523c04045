from decimal import Decimal

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("usage", "0004_id_at_origin"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="usagelog",
            index=models.Index(
                models.OrderBy(models.F("cost")),
                models.OrderBy(models.F("id"), descending=True),
                condition=models.Q(("cost__lte", 0)),
                name="usage_logs_free",
            ),
        ),
        migrations.AddIndex(
            model_name="usagelog",
            index=models.Index(
                models.OrderBy(models.F("cost"), descending=True, nulls_last=True),
                models.OrderBy(models.F("id"), descending=True),
                condition=models.Q(("cost__gte", Decimal("0.1"))),
                name="usage_logs_expensive",
            ),
        ),
        migrations.AddIndex(
            model_name="usagelog",
            index=models.Index(
                models.OrderBy(models.F("latency_ms")),
                models.OrderBy(models.F("id"), descending=True),
                condition=models.Q(("latency_ms__lt", 200)),
                name="usage_logs_quick",
            ),
        ),
        migrations.AddIndex(
            model_name="usagelog",
            index=models.Index(
                models.OrderBy(models.F("latency_ms"), descending=True, nulls_last=True),
                models.OrderBy(models.F("id"), descending=True),
                condition=models.Q(("latency_ms__gte", 20000)),
                name="usage_logs_slow",
            ),
        ),
    ]
