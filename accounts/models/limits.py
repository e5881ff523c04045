"""The limits of tokens, and the usage of tokens, projects and addresses that limits count."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models.projects import Project
from core.ids import uuid7


class Allowance(models.Model):
    """The limits of its holder (a gateway token), and what it has used of them.

    Only functions of the database change the counters (accounts/limits/allowances.py).
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    max_requests = models.BigIntegerField(
        null=True, blank=True, help_text="Requests in its whole life. Empty: no limit."
    )
    requests_per_minute = models.IntegerField(
        null=True, blank=True, help_text="In each minute of the database's clock. Empty: no limit."
    )
    budget_usd = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        null=True,
        blank=True,
        help_text="US dollars in its whole life. Empty: no limit.",
    )
    requests = models.BigIntegerField(db_default=0, editable=False)
    minute = models.DateTimeField(
        null=True, editable=False, help_text="The minute that minute_requests counts."
    )
    minute_requests = models.IntegerField(db_default=0, editable=False)
    spent_usd = models.DecimalField(max_digits=38, decimal_places=12, db_default=0, editable=False)
    reserved_usd = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        db_default=0,
        editable=False,
        help_text="Bounds of the costs of calls whose costs are not known (yet).",
    )
    cache_hits = models.BigIntegerField(
        db_default=0, editable=False, help_text="Answers from the gateway's cache: not requests."
    )
    last_used_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        db_table = "allowances"
        constraints = [
            models.CheckConstraint(
                condition=Q(spent_usd__gte=0, reserved_usd__gte=0),
                name="allowances_not_negative",
            )
        ]

    def __str__(self) -> str:
        return str(self.id)


class RequestWindow(models.Model):
    """How many requests of a minute its holder (a project, an address) has been granted.

    Only functions of the database change it (accounts/limits/request_limits.py).
    """

    holder = models.UUIDField(primary_key=True)
    minute = models.DateTimeField()
    granted = models.IntegerField(help_text="Leases that workers have not used are among them.")

    class Meta:
        db_table = "request_windows"

    def __str__(self) -> str:
        return f"{self.holder} {self.minute:%H:%M}"


class MonthlyLogs(models.Model):
    """How many logs of a project arrived in a UTC month. Only grows.

    Written by the statement that stores the logs, through the function count_logs.
    """

    pk = models.CompositePrimaryKey("project_id", "month")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="monthly_logs")
    month = models.DateField(help_text="Its first day.")
    logs = models.BigIntegerField()

    class Meta:
        db_table = "monthly_logs"

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}: {self.logs}"


class LimitNotice(models.Model):
    """A notice that was mailed to a project's owners, and is not mailed again."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="limit_notices")
    subject = models.CharField(max_length=100, help_text="A limit, such as logs/2026-02.")
    percent = models.SmallIntegerField()
    sent_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "limit_notices"
        constraints = [
            models.UniqueConstraint(
                fields=["project", "subject", "percent"], name="limit_notices_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.subject} {self.percent} %"
