from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from accounts import audit, projects
from core import parsing
from core.errors import InvalidInput
from core.terminals import printable
from gateway import tokens
from gateway.schemas.tokens import NewToken
from gateway.token_limits import COUNTED_LIMITS


class Command(BaseCommand):
    help = "Issue a token of the gateway, for a project that is created if need be; print it once."

    def add_arguments(self, parser) -> None:
        parser.add_argument("--project", default="default", help="its name or id (%(default)s)")
        parser.add_argument("--name", default="", help="where the token will be used")
        parser.add_argument("--days", type=int, default=30, help="0: forever (%(default)s)")
        parser.add_argument("--max-requests", type=int, help="in its whole life")
        parser.add_argument("--requests-per-minute", type=int, help="in each minute")
        parser.add_argument("--budget", dest="budget_usd", help="US dollars in its whole life")
        parser.add_argument(
            "--model", dest="allowed_models", action="append", help="such as gpt-4o*; repeatable"
        )

    def handle(self, *, project: str, name: str, days: int, **options) -> None:
        limits = (*COUNTED_LIMITS, "allowed_models")
        sent = {limit: options[limit] for limit in limits if options[limit] is not None}
        origin = audit.of_command("createtoken")
        with transaction.atomic():
            try:
                owner = projects.named_or_new(project, origin)
            except ValidationError as error:
                raise CommandError(f"project: {' '.join(error.messages)}") from None
            body = _validated(project_id=owner.id, name=name, expires_in_days=days, **sent)
            expires_at = body.expires_at(timezone.now())
            row, text = tokens.issue(owner, expires_at=expires_at, **body.columns())
            ids = {"project_id": owner.id, "token_id": row.id}
            audit.record("token.create", origin, **ids, name=row.name)
        until = f"until {expires_at:%Y-%m-%d %H:%M} UTC" if expires_at else "forever"
        self.stdout.write(text)
        name = printable(owner.name)
        self.stderr.write(f"Token {row.id} of project {name}, valid {until}. Shown once.")


def _validated(**members) -> NewToken:
    try:
        return parsing.validate(NewToken, members)
    except InvalidInput as error:
        raise CommandError(
            "; ".join(f"{entry['loc'][1]}: {entry['msg']}" for entry in error.issues)
        ) from None
