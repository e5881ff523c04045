"""Days were marked as certified although corrections and calls of conversations were not.

The next receipt reads them all once, and certifies what was left out.
"""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("receipts", "0001_schema")]

    operations = [migrations.RunSQL("DELETE FROM receipt_days", migrations.RunSQL.noop)]
