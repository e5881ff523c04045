"""The pages of a project's tier and of its clients' configuration."""

from django.conf import settings
from django.utils import timezone

from accounts.limits import log_quotas, log_retention
from accounts.models import Role
from llmring_site.pages.base import ProjectPage, ReadPage


class PlanPage(ProjectPage, ReadPage):
    template_name = "llmring_site/pages/plan.html"
    title = "Plan and limits"

    def get_context_data(self, **kwargs):
        now = timezone.now()
        tier = self.project.tier
        arrived = log_quotas.arrived(self.project.id, now)
        quota = tier and tier.logs_per_month
        return {
            **super().get_context_data(**kwargs),
            "tier": tier,
            "arrived": arrived,
            "quota": quota,
            "remaining": None if quota is None else max(quota - arrived, 0),
            "resets_at": log_quotas.next_month(now),
            "retention_days": log_retention.retention_days(self.project, now),
            "is_owner": self.role == Role.OWNER,
        }


class ConnectPage(ProjectPage, ReadPage):
    template_name = "llmring_site/pages/connect.html"
    title = "Connect your client"

    def get_context_data(self, **kwargs):
        return {**super().get_context_data(**kwargs), "public_url": settings.PUBLIC_URL}
