"""Deleting a person's account. Projects and their data stay."""

from collections.abc import Collection
from uuid import UUID

from django.contrib.auth import logout
from django.http import HttpRequest

from accounts import audit, keys, locks, memberships, passwords, sessions
from accounts.models import ApiKey


def delete_accounts(ids: Collection[UUID], origin: audit.Origin) -> None:
    """Delete those of the people who exist, and revoke the keys they made.

    Raises memberships.LastOwner for a project in use that nobody else owns.
    """
    with memberships.keeping_an_owner():
        people = locks.people_to_delete(ids)
        own = ApiKey.objects.filter(created_by__in=people)
        keys.revoke_keys(own, origin, reason="its creator's account was deleted")
        for user in people:
            audit.record("person.delete", origin, user_id=user.id)
            sessions.end_sessions(user)
            user.delete()


def delete_own_account(request: HttpRequest, password: str) -> None:
    """Delete the account of the logged-in person, who confirms it by the password, if any.

    Raises the errors of `passwords.require_current` and `delete_accounts`.
    """
    passwords.require_current(request.user, password)
    delete_accounts([request.user.pk], audit.of_request(request))
    # Not `logins.end_session`, which would record the logout of a person who no longer exists.
    logout(request)
