from datetime import timedelta

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts import audit
from accounts.models import AuditEvent
from core.number_formats import counted


class Command(BaseCommand):
    help = "Delete events of the audit log that are older than so many days."

    def add_arguments(self, parser) -> None:
        parser.add_argument("--days", type=int, required=True)
        parser.add_argument("--dry-run", action="store_true", help="only count them")

    def handle(self, *, days: int, dry_run: bool, **options) -> str:
        if not 1 <= days <= 36_500:
            raise CommandError("--days must be between 1 and 36500")
        time = timezone.now() - timedelta(days=days)
        if dry_run:
            return _older(AuditEvent.objects.before(time).count(), days)
        deleted = audit.delete_before(time)
        audit.record("audit.prune", audit.of_command("pruneaudit"), days=days, deleted=deleted)
        return f"{_older(deleted, days)} deleted"


def _older(events: int, days: int) -> str:
    return f"{counted(events, 'event')} older than {counted(days, 'day')}"
