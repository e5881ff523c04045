"""What changes when a person proves that an address is theirs.

Until then, whoever opened the account has only claimed the address. They may be an attacker who
waits for the owner to use the account: with a password, sessions, keys, and invited members.
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
    """Mark the person's address as verified, and activate the keys that waited for it.

    The key of the registration no longer counts as a login's, which a reset would end.
    """
    if user.email_verified_at is None:
        user.email_verified_at = timezone.now()
        user.save(update_fields=["email_verified_at"])
        audit.record("person.verify", origin, user_id=user.id)
    ApiKey.objects.filter(created_by=user, is_pending=True).update(is_pending=False)
    login_keys.of_person(user).filter(name=login_keys.REGISTRATION_NAME).update(is_from_login=False)


def confirm(token: str, origin: audit.Origin, *, session_user: User | None, password: str) -> User:
    """Verify the address that a mailed token names, and return its person.

    An account with a password also requires that, or its session: the link's reader owns the
    address, but somebody else may have opened the account with it.
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
    """Give a claimed account to whoever proved its address, by ending all earlier access to it.

    That is its password, sessions, tokens and identities, every key of the projects that it
    created, and everybody else in them. Rows stay: they may be the address owner's own.
    The caller has locked the person, with their projects.
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
            reason="the address was proven in another way",
        )
        _end_members(user, origin)
        user.set_unusable_password()
        user.key_claim_until = None
        user.email_verified_at = timezone.now()
        user.save(update_fields=["password", "key_claim_until", "email_verified_at"])
        audit.record("person.take_over", origin, user_id=user.id)
    mailing.send(user.email, "keys_ended", email=user.email)


def end_claim(user: User, origin: audit.Origin) -> None:
    """End the ways back into an account that has only claimed its address until now.

    For a reset, which itself ends sessions and login keys, and leaves other keys working. Other
    members stay if an operator made the account, as the operator may have added them.
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
    """Return whether the person registered, rather than being added by an operator."""
    # registration.new_person uses the id as the user name; operators choose one.
    return user.username == str(user.pk)


def _brought(user: User) -> QuerySet[Membership]:
    """Return the person's memberships of projects in which they are the first member."""
    earlier = Membership.objects.filter(
        project=OuterRef("project"), created_at__lt=OuterRef("created_at")
    )
    return Membership.objects.filter(~Exists(earlier), user=user)


def _claimed_projects(user: User) -> list[UUID]:
    owned = _brought(user).filter(role=Role.OWNER)
    return list(owned.values_list("project_id", flat=True))


def _end_members(user: User, origin: audit.Origin) -> None:
    """Remove everybody else from the projects that the account created and owns.

    From those that a self-registered account handed over, the person is removed instead: the new
    owner may be the attacker, who must not see the person's calls.
    """
    claimed = _claimed_projects(user)
    # Before the members: whoever accepts an invitation concurrently is a member afterwards.
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
    """Mark an address that replaced another one as unverified.

    Sessions end, except the one with the key `but`, and so do all mailed links. Until somebody
    proves the new address, it is only claimed: see `take_over`.
    """
    user.email_verified_at = None
    user.save(update_fields=["email_verified_at"])
    EmailToken.objects.filter(user=user).delete()
    sessions.end_sessions(user, but=but)


def forget_tokens(user: User) -> None:
    """End the open reset links of a person."""
    EmailToken.objects.filter(user=user, purpose=Purpose.RESET).delete()
