from django.db import migrations


class Migration(migrations.Migration):
    """Compressing word lists saves little and took a third of the time of writing them."""

    dependencies = [("conversations", "0001_schema")]
    operations = [
        migrations.RunSQL(
            "ALTER TABLE conversation_words ALTER COLUMN words SET STORAGE EXTERNAL",
            "ALTER TABLE conversation_words ALTER COLUMN words SET STORAGE EXTENDED",
        )
    ]
