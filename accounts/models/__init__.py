"""The tables of projects, keys, people and limits."""

from accounts.models.audit import AuditEvent, AuditEventQuerySet, AuditOutcome
from accounts.models.entry import (
    AttemptCount,
    BrowserSession,
    EmailToken,
    Identity,
    Invitation,
    Purpose,
    SpentState,
)
from accounts.models.jobs import PeriodicJob
from accounts.models.keys import (
    ApiKey,
    ApiKeyQuerySet,
    KeyUse,
    RetiredKey,
    Scope,
    every_scope,
    in_state,
    state_of,
)
from accounts.models.limits import Allowance, LimitNotice, MonthlyLogs, RequestWindow
from accounts.models.people import User, Users
from accounts.models.projects import Membership, Project, ProjectQuerySet, Role
from accounts.models.tiers import Tier

__all__ = [
    "Allowance",
    "ApiKey",
    "ApiKeyQuerySet",
    "AttemptCount",
    "AuditEvent",
    "AuditEventQuerySet",
    "AuditOutcome",
    "BrowserSession",
    "EmailToken",
    "Identity",
    "Invitation",
    "KeyUse",
    "LimitNotice",
    "Membership",
    "MonthlyLogs",
    "PeriodicJob",
    "Project",
    "ProjectQuerySet",
    "Purpose",
    "RequestWindow",
    "RetiredKey",
    "Role",
    "Scope",
    "SpentState",
    "Tier",
    "User",
    "Users",
    "every_scope",
    "in_state",
    "state_of",
]
