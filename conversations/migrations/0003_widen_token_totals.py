from django.db import migrations, models


class Migration(migrations.Migration):
    """A thousand calls of 2^53-1 tokens are beyond 64 bits, and no later one could be stored."""

    dependencies = [("conversations", "0002_store_words_uncompressed")]
    operations = [
        migrations.AlterField(
            model_name="conversation",
            name=name,
            field=models.DecimalField(decimal_places=0, default=0, max_digits=38),
        )
        for name in ("total_input_tokens", "total_output_tokens")
    ]
