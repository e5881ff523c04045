"""Deleting a person's account. What their projects own stays in the projects."""

from collections.abc import Collection
from uuid import UUID

from django.contrib.auth import logout
from django.http import HttpRequest

from accounts import audit, keys, locks, memberships, passwords, sessions
from accounts.models import ApiKey


def delete_accounts(ids: Collection[UUID], origin: audit.Origin) -> None:
    """Delete all of these people that still exist, and revoke the keys they made.

    A project that nobody else owns has to be archived; all of its keys are refused anyway.
    Raises memberships.LastOwner.
    """
    with memberships.keeping_an_owner():
        people = locks.people_to_delete(ids)
        own = ApiKey.objects.filter(created_by__in=people)
        keys.revoke_keys(own, origin, reason="its maker's account was deleted")
        for user in people:
            audit.record("person.delete", origin, user_id=user.id)
            sessions.end_sessions(user)
            user.delete()


def delete_own_account(request: HttpRequest, password: str) -> None:
    """Delete the account of the logged-in person, who proves it by the password, if there is one.

    Raises what `passwords.require_current` and `delete_accounts` do.
    """
    passwords.require_current(request.user, password)
    delete_accounts([request.user.pk], audit.of_request(request))
    # Not `end_session`, which would record that nobody logged out.
    logout(request)
