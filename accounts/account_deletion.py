"""Deleting a person's account. What their projects own stays in the projects."""

from django.db.models import Q

from accounts import audit, keys, logins, memberships
from accounts.models import ApiKey, User


def delete_account(user: User, origin: audit.Origin) -> None:
    """Delete the person, and revoke the keys they made. Raises memberships.LastOwner.

    Keys of their projects that nobody else owns are those of archived projects, which are
    refused anyway.
    """
    with memberships.keeping_an_owner():
        audit.record("person.delete", origin, user_id=user.id)
        own = ApiKey.objects.filter(Q(created_by=user))
        keys.revoke_keys(own, origin, reason="its maker's account was deleted")
        logins.end_all_sessions(user)
        user.delete()
