from django.apps import apps
from django.core.management.base import BaseCommand

from core.secrets import Sealed, SealedField, SecretUnreadable


class Command(BaseCommand):
    help = "Encrypt all secrets in the database with the first key of LLMRING_ENCRYPTION_KEY."

    def handle(self, **options) -> str:
        counts = {"resealed": 0, "unchanged": 0, "unreadable": 0}
        for model in apps.get_models():
            for field in model._meta.concrete_fields:
                if isinstance(field, SealedField):
                    for row in model._base_manager.exclude(**{field.name: None}).iterator():
                        counts[_reseal(row, field.name)] += 1
        return ", ".join(f"{count} {outcome}" for outcome, count in counts.items())


def _reseal(row, name: str) -> str:
    """What became of the row's secret."""
    old = getattr(row, name)
    if old.is_current:
        return "unchanged"
    try:
        secret = old.open()
    except SecretUnreadable:
        return "unreadable"
    columns = {name: Sealed.of(secret)}
    if hasattr(row, "columns_of"):  # what else depends on the key that seals
        columns |= row.columns_of(secret)
    # Unless somebody set another secret meanwhile.
    rows = type(row)._base_manager.filter(pk=row.pk, **{name: old})
    return "resealed" if rows.update(**columns) else "unchanged"
