from django.core.management.base import BaseCommand
from django.utils import timezone

from core import progress
from usage import retention


class Command(BaseCommand):
    help = "Delete the logs that the tiers of their projects no longer keep."

    def add_arguments(self, parser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only count them")

    def handle(self, *, dry_run: bool, **options) -> str:
        now = timezone.now()
        if dry_run:
            return f"{retention.count_old(now=now)} logs are past their tiers' retention"
        deleted = progress.count(
            retention.enforce(now=now), what="logs deleted", stream=self.stderr
        )
        return f"{deleted} logs deleted that were past their tiers' retention"
