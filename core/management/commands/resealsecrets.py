from django.apps import apps
from django.core.management.base import BaseCommand, CommandError

from core.secrets import Sealed, SealedField, SecretUnreadable


class Command(BaseCommand):
    help = "Encrypt all secrets in the database with the first key of LLMRING_ENCRYPTION_KEY."

    def handle(self, **options) -> None:
        counts = {"resealed": 0, "unchanged": 0, "unreadable": 0}
        for model in apps.get_models():
            for field in model._meta.concrete_fields:
                if isinstance(field, SealedField):
                    for row in model._base_manager.exclude(**{field.name: None}).iterator():
                        counts[_reseal(row, field.name)] += 1
        self.stdout.write(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
        if counts["unreadable"]:
            raise CommandError(
                f"{counts['unreadable']} secrets cannot be read: add the key under which they were "
                "sealed to LLMRING_ENCRYPTION_KEY, or set them again"
            )


def _reseal(row, name: str) -> str:
    """Return `resealed`, `unchanged` or `unreadable`."""
    old = getattr(row, name)
    if old.is_current:
        return "unchanged"
    try:
        secret = old.open()
    except SecretUnreadable:
        return "unreadable"
    columns = {name: Sealed.of(secret)}
    if hasattr(row, "columns_of"):  # other columns that depend on the sealing key
        columns |= row.columns_of(secret)
    # Unless the secret was changed meanwhile.
    rows = type(row)._base_manager.filter(pk=row.pk, **{name: old})
    return "resealed" if rows.update(**columns) else "unchanged"
