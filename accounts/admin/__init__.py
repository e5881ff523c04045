"""Register the admin's pages, one model a module."""

from accounts.admin import entry
from accounts.admin.api_keys import ApiKeyAdmin
from accounts.admin.audit_events import AuditEventAdmin
from accounts.admin.groups import GroupAdmin
from accounts.admin.people import UserAdmin
from accounts.admin.projects import ProjectAdmin
from accounts.admin.tiers import TierAdmin

__all__ = [
    "ApiKeyAdmin",
    "AuditEventAdmin",
    "GroupAdmin",
    "ProjectAdmin",
    "TierAdmin",
    "UserAdmin",
    "entry",  # puts its views into the admin's site
]
