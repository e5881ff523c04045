from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("conversations", "0003_widen_token_totals")]

    operations = [
        migrations.AddField(
            model_name="message",
            name="plain_hash",
            field=models.CharField(
                max_length=64,
                null=True,
                help_text="The same without marks of a provider's cache, and of one text part as "
                "text, where that differs: by it a message is known again.",
            ),
        ),
    ]
