"""Deleting a person's account. What their projects own stays in the projects."""

from django.contrib.auth import logout
from django.http import HttpRequest

from accounts import audit, keys, locks, memberships, passwords, sessions
from accounts.models import ApiKey, User


def delete_account(user: User, origin: audit.Origin) -> None:
    """Delete the person, and revoke the keys they made; do nothing for one who is gone already.

    Raises memberships.LastOwner.

    Keys of their projects that nobody else owns are those of archived projects, which are
    refused anyway.
    """
    with memberships.keeping_an_owner():
        if locks.person_with_projects(user.pk) is None:
            return
        audit.record("person.delete", origin, user_id=user.id)
        own = ApiKey.objects.filter(created_by=user)
        keys.revoke_keys(own, origin, reason="its maker's account was deleted")
        sessions.end_sessions(user)
        user.delete()


def delete_own_account(request: HttpRequest, password: str) -> None:
    """Delete the account of the logged-in person, who proves it by the password, if there is one.

    Raises what `passwords.require_current` and `delete_account` do.
    """
    passwords.require_current(request.user, password)
    delete_account(request.user, audit.of_request(request))
    # Not `end_session`, which would record that nobody logged out.
    logout(request)
