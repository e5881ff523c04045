"""What happens when somebody proves that an address is theirs.

Until then whoever opened the account has only claimed so, and may be somebody else who
waits for the owner to move in: with a password, sessions, keys, and people they invited.
"""

from django.db import transaction
from django.utils import timezone

from accounts import audit, email_tokens, keys, mailing, passwords, sessions
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


def mark_verified(user: User, origin: audit.Origin) -> None:
    """Note the proof; keys that waited for it work from now on.

    The key of the registration is a key like any other then: no reset ends it.
    """
    if user.email_verified_at is None:
        user.email_verified_at = timezone.now()
        user.save(update_fields=["email_verified_at"])
        audit.record("person.verify", origin, user_id=user.id)
    ApiKey.objects.filter(created_by=user, is_pending=True).update(is_pending=False)
    keys.login_keys(user).filter(name=keys.REGISTRATION_NAME).update(is_from_login=False)


def confirm(token: str, origin: audit.Origin, *, session_user: User | None, password: str) -> User:
    """Verify the address that a mailed token names, and return its person.

    The link alone does not do for an account with a password: its reader may have the
    mailbox, but not the account that somebody else opened in their name. Raises
    InvalidToken, WrongPassword.
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

    That is its password, sessions, tokens and identities, every key of the projects that it
    owns, and everybody else in them. The rows stay: they may be the owner's own.
    """
    with transaction.atomic():
        user = User.objects.select_for_update().get(pk=user.pk)
        sessions.end_sessions(user)
        EmailToken.objects.filter(user=user).delete()
        owned = Membership.objects.filter(user=user, role=Role.OWNER).values("project_id")
        own_keys = ApiKey.objects.filter(created_by=user) | ApiKey.objects.filter(
            project_id__in=owned
        )
        keys.revoke_keys(
            ApiKey.objects.filter(id__in=list(own_keys.values_list("id", flat=True))),
            origin,
            reason="the address was proven by another way",
        )
        end_claim(user, origin)
        user.set_unusable_password()
        user.key_claim_until = None
        user.email_verified_at = timezone.now()
        user.save(update_fields=["password", "key_claim_until", "email_verified_at"])
        audit.record("person.take_over", origin, user_id=user.id)
    mailing.send(user.email, "keys_ended", email=user.email)


def end_claim(user: User, origin: audit.Origin) -> None:
    """Take from a claimed account whom its opener may have let in.

    Those are identities of providers, and all others in the projects that it owns.
    """
    Identity.objects.filter(user=user).delete()
    own = Membership.objects.filter(user=user, role=Role.OWNER)
    project_ids = list(own.values_list("project_id", flat=True))
    others = Membership.objects.filter(project_id__in=project_ids).exclude(user=user)
    former = list(others.select_related("user", "project"))
    others.delete()
    for membership in former:
        audit.record(
            "member.remove",
            origin,
            project_id=membership.project_id,
            user_id=membership.user_id,
            role=membership.role,
        )
        keys.end_lost_access(membership.user, membership.project, origin)
    Invitation.objects.filter(
        project_id__in=project_ids, accepted_at__isnull=True, withdrawn_at__isnull=True
    ).update(withdrawn_at=timezone.now())


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
