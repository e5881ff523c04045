"""The rows that an action of the admin is run on."""

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest

# Forms that ask before they do anything name each row; see DATA_UPLOAD_MAX_NUMBER_FIELDS.
MAX_CHOSEN = 1_000


def first_rows(request: HttpRequest, rows: QuerySet, most: int) -> QuerySet:
    """Return the first `most` rows; add a message to the page if there are more."""
    ids = list(rows.values_list("pk", flat=True)[: most + 1])
    if len(ids) <= most:
        return rows
    limited = f"Only the first {most:,} of the selected rows are taken"
    messages.warning(request, f"{limited}: repeat the action for the others.")
    return rows.filter(pk__in=ids[:most])
