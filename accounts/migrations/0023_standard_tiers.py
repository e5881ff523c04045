from django.db import migrations

# Name, logs per month, days of retention, requests per minute.
TIERS = [
    ("free", 10_000, 30, 60),
    ("hobby", 50_000, 90, 300),
    ("pro", 500_000, 365, 1_000),
    ("team", None, None, 5_000),
]


def make_tiers(apps, schema_editor) -> None:
    Tier = apps.get_model("accounts", "Tier")
    for name, logs_per_month, retention_days, requests_per_minute in TIERS:
        Tier.objects.create(
            name=name,
            logs_per_month=logs_per_month,
            retention_days=retention_days,
            requests_per_minute=requests_per_minute,
        )


class Migration(migrations.Migration):
    """Tiers to begin with; operators edit them, so nothing updates them later."""

    dependencies = [("accounts", "0022_retention_grace")]
    operations = [migrations.RunPython(make_tiers, migrations.RunPython.noop)]
