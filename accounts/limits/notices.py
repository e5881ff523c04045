"""Mails to a project's owners about its limits, each sent once."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from smtplib import SMTPDataError, SMTPRecipientsRefused
from uuid import UUID

from django.core.mail import send_mail
from django.db.models import F

from accounts import mailing
from accounts.limits import log_quotas
from accounts.mail_errors import reason
from accounts.models import LimitNotice, Membership, MonthlyLogs, Project, Role

logger = logging.getLogger(__name__)

_PERCENTS = (80, 100)
# Errors of a single mail. Any other would recur with the next one.
_REFUSED = (SMTPRecipientsRefused, SMTPDataError, ValueError)


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice about a project, sent once for each `subject` and `percent`."""

    project_id: UUID
    subject: str
    percent: int
    title: str
    text: str


class MailServerAway(Exception):
    """The mail server is unavailable: each further mail would wait for it again."""


def of_use(
    project_id: UUID, subject: str, what: str, *, used: int | Decimal, limit: int | Decimal
) -> Notice | None:
    """Return the notice about a limit that is used up, or nearly; else None."""
    percent = max((p for p in _PERCENTS if used * 100 >= limit * p), default=None)
    if percent is None:
        return None
    title = f"{percent} % of the {what} are used"
    text = f"{_plain(used)} of {_plain(limit)} are used."
    if percent == 100:
        text += " From now on the server refuses more (429) until the limit is reset or raised."
    return Notice(project_id, f"{subject}/{_plain(limit)}"[:100], percent, title, text)


def of_quotas(now: datetime) -> Iterator[Notice]:
    """Yield the notices of this month's log quotas."""
    month = log_quotas.month_of(now)
    counters = MonthlyLogs.objects.filter(
        month=month, logs__gte=F("project__tier__logs_per_month") * 0.8
    )
    for id, used, limit in counters.values_list(
        "project_id", "logs", "project__tier__logs_per_month"
    ):
        what = f"logs of {month:%B %Y}"
        if notice := of_use(id, f"logs/{month:%Y-%m}", what, used=used, limit=limit):
            yield notice


def of_retention(now: datetime) -> Iterator[Notice]:
    """Yield the notices of retentions that will become shorter."""
    projects = Project.objects.filter(
        former_retention_until__gt=now, tier__retention_days__isnull=False
    )
    for project in projects.select_related("tier"):
        at = project.former_retention_until.astimezone(UTC)
        yield Notice(
            project.id,
            f"retention/{at:%Y-%m-%dT%H:%M:%S}",
            100,
            "Older logs will be deleted",
            f"The tier {project.tier} keeps logs for {project.tier.retention_days} days. "
            f"Older ones are deleted from {at:%Y-%m-%d %H:%M} UTC on; export them before.",
        )


def send(notices: Iterable[Notice]) -> int:
    """Mail the notices that have not been sent yet; return their number.

    A notice counts as sent if the mail server took it for one owner. Without an owner who has
    an address, or with a mail server that is unavailable, it is left to the next call.
    """
    sent = 0
    try:
        for notice in notices:
            sent += _send(notice)
    except MailServerAway as error:
        logger.warning("notices of limits were not sent: %s", error)
    return sent


def _send(notice: Notice) -> bool:
    """Mail a notice to its project's owners; return whether it was sent just now."""
    key = {
        "project_id": notice.project_id,
        "subject": notice.subject,
        "percent": notice.percent,
    }
    if LimitNotice.objects.filter(**key).exists():
        return False
    owners = Membership.objects.filter(
        project=notice.project_id, role=Role.OWNER, user__is_active=True
    ).exclude(user__email="")
    addresses = [*owners.values_list("user__email", flat=True)]
    if not addresses:
        return False
    claim, is_new = LimitNotice.objects.get_or_create(**key)
    if not is_new:
        return False
    name = Project.objects.values_list("name", flat=True).get(id=notice.project_id)
    title, text = f"{_line(name)}: {notice.title}", f"Project {name}\n\n{notice.text}\n"
    # One mail each: owners do not see each other's addresses, and one failure stops no other.
    is_sent = False
    try:
        for address in addresses:
            is_sent |= _mail(address, title, text)
    finally:
        if not is_sent:
            claim.delete()
    return is_sent


def _mail(address: str, title: str, text: str) -> bool:
    """Mail to one address; return whether the mail server took it. Raises MailServerAway."""
    try:
        send_mail(title, text, None, [address], connection=mailing.connection())
    except _REFUSED as error:
        logger.warning("a notice of limits was not sent: %s", reason(error))
        return False
    except OSError as error:  # as smtplib's are, too
        raise MailServerAway(reason(error)) from error
    return True


def _plain(amount: int | Decimal) -> str:
    text = f"{amount:,}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _line(text: str) -> str:
    return " ".join(text.split())
