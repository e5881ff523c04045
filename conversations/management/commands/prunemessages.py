from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from conversations import retention
from core import progress
from core.number_formats import counted


class Command(BaseCommand):
    help = "Delete messages older than LLMRING_MESSAGE_RETENTION_DAYS, of all projects."

    def add_arguments(self, parser) -> None:
        parser.add_argument("--days", type=int, help="instead of the setting; 0 keeps everything")
        parser.add_argument("--dry-run", action="store_true", help="only count them")

    def handle(self, *, days: int | None, dry_run: bool, **options) -> str:
        days = settings.MESSAGE_RETENTION_DAYS if days is None else days
        if days < 0:
            raise CommandError("--days must be 0 or more")
        now = timezone.now()
        if dry_run:
            return _older(retention.count_old(days, now=now), days)
        deleted = progress.count(
            retention.prune(days, now=now), what="messages deleted", stream=self.stderr
        )
        return f"{_older(deleted, days)} deleted"


def _older(messages: int, days: int) -> str:
    return f"{counted(messages, 'message')} older than {counted(days, 'day')}"
