"""What happens when somebody proves that an address is theirs.

Until then, whoever opened the account has only claimed the address, and may be somebody else who
waits for the owner to move in: with a password, sessions, keys, and people they invited.
"""

from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from accounts import audit, keys, login_keys, mailing, passwords, sessions
from accounts.models import (
    ApiKey,
    EmailToken,
    Identity,
    Invitation,
    Membership,
    Purpose,
    Role,
    User,
)
from accounts.people import email_tokens


def mark_verified(user: User, origin: audit.Origin) -> None:
    """Note the proof; keys that waited for it work from now on.

    The key of the registration is a key like any other from then on.
    """
    if user.email_verified_at is None:
        user.email_verified_at = timezone.now()
        user.save(update_fields=["email_verified_at"])
        audit.record("person.verify", origin, user_id=user.id)
    ApiKey.objects.filter(created_by=user, is_pending=True).update(is_pending=False)
    login_keys.of_person(user).filter(name=login_keys.REGISTRATION_NAME).update(is_from_login=False)


def confirm(token: str, origin: audit.Origin, *, session_user: User | None, password: str) -> User:
    """Verify the address that a mailed token names, and return its person.

    The link alone does not do for an account with a password: its reader may have the
    mailbox, but not the account that somebody else opened in their name.
    Raises InvalidToken, WrongPassword.
    """
    row = email_tokens.peek(token, Purpose.VERIFY)
    is_own = session_user is not None and session_user.pk == row.user_id
    if not is_own and row.user.has_usable_password() and not passwords.is_right(row.user, password):
        raise passwords.WrongPassword
    with transaction.atomic():
        user = email_tokens.use(token, Purpose.VERIFY)
        mark_verified(user, origin)
    return user


def take_over(user: User, origin: audit.Origin) -> None:
    """Give a claimed account to whoever proved its address: all that opened it before ends.

    The person is locked, with their projects.

    That is its password, sessions, tokens and identities, every key of the projects that it
    brought, and everybody else in them. The rows stay: they may be the owner's own.
    """
    with transaction.atomic():
        sessions.end_sessions(user)
        EmailToken.objects.filter(user=user).delete()
        _end_identities(user, origin)
        own_keys = ApiKey.objects.filter(created_by=user) | ApiKey.objects.filter(
            project_id__in=_claimed_projects(user)
        )
        keys.revoke_keys(
            ApiKey.objects.filter(id__in=list(own_keys.values_list("id", flat=True))),
            origin,
            reason="the address was proven by another way",
        )
        _end_members(user, origin)
        user.set_unusable_password()
        user.key_claim_until = None
        user.email_verified_at = timezone.now()
        user.save(update_fields=["password", "key_claim_until", "email_verified_at"])
        audit.record("person.take_over", origin, user_id=user.id)
    mailing.send(user.email, "keys_ended", email=user.email)


def end_claim(user: User, origin: audit.Origin) -> None:
    """End the ways back into an account that only claimed its address until now.

    For a reset, which ends sessions and login keys itself and leaves other keys working. Who
    registers names nobody but themselves; to an account that an operator made and named, the
    operator may have added others, who stay.
    """
    if user.email_verified_at or user.is_staff or user.is_superuser:
        return
    _end_identities(user, origin)
    if is_self_registered(user):
        _end_members(user, origin)


def _end_identities(user: User, origin: audit.Origin) -> None:
    identities = Identity.objects.filter(user=user)
    for provider in identities.values_list("provider", flat=True):
        audit.record("identity.unlink", origin, user_id=user.id, provider=provider)
    identities.delete()


def is_self_registered(user: User) -> bool:
    """Return whether the person has no user name but the one that registering made up."""
    # As registration.new_person names people; operators choose a name.
    return user.username == str(user.pk)


def _brought(user: User) -> QuerySet[Membership]:
    """Return the memberships of projects that nobody was in before the person."""
    earlier = Membership.objects.filter(
        project=OuterRef("project"), created_at__lt=OuterRef("created_at")
    )
    return Membership.objects.filter(~Exists(earlier), user=user)


def _claimed_projects(user: User) -> list[UUID]:
    owned = _brought(user).filter(role=Role.OWNER)
    return list(owned.values_list("project_id", flat=True))


def _end_members(user: User, origin: audit.Origin) -> None:
    """Leave the person alone in the projects that the account brought.

    One that was handed over meanwhile is its new owner's, who may be whoever claimed the
    address: the person's calls must not go there.
    """
    claimed = _claimed_projects(user)
    # Before the members: who is accepting one at this moment is a member afterwards.
    Invitation.objects.filter(
        project_id__in=claimed, accepted_at__isnull=True, withdrawn_at__isnull=True
    ).update(withdrawn_at=timezone.now())
    _remove(Membership.objects.filter(project_id__in=claimed).exclude(user=user), origin)
    if is_self_registered(user):
        _remove(_brought(user).exclude(role=Role.OWNER), origin)


def _remove(memberships: QuerySet[Membership], origin: audit.Origin) -> None:
    rows = list(memberships.select_related("user"))
    for row in rows:
        audit.record(
            "member.remove", origin, project_id=row.project_id, user_id=row.user_id, role=row.role
        )
    Membership.objects.filter(id__in=[row.id for row in rows]).delete()
    login_keys.revoke_excess(*{row.user for row in rows}, origin=origin)


def forget(user: User, *, but: str | None = None) -> None:
    """Forget the proof of an address that was replaced by another one, and what it opened.

    Sessions end, except the one with the key `but`, and so do all mailed links. The new
    address is claimed until somebody proves it, who may be a stranger: see `take_over`.
    """
    user.email_verified_at = None
    user.save(update_fields=["email_verified_at"])
    EmailToken.objects.filter(user=user).delete()
    sessions.end_sessions(user, but=but)


def forget_tokens(user: User) -> None:
    """End the open reset links of a person."""
    EmailToken.objects.filter(user=user, purpose=Purpose.RESET).delete()
