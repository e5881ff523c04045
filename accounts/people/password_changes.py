"""New passwords, set by a mailed link, by the logged-in person, or by staff."""

from typing import Any

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.http import HttpRequest

from accounts import audit, keys, login_keys, mailing, passwords, sessions
from accounts.models import ApiKey, Purpose, User
from accounts.oauth import providers
from accounts.people import address_proofs, email_tokens, logins


def reset(token: str, password: str, origin: audit.Origin) -> User:
    """Set the password of the person whom the token names; return them.

    Ends their sessions and the keys that logins issued. Other keys stay, as a reset must not stop
    production, and so do connected identities, by which most people log in who forget a password;
    the mail names these. If the reset is the first proof of the address, `end_claim` applies.
    Raises InvalidToken and InvalidInput, after which the token is still valid.
    """
    row = email_tokens.peek(token, Purpose.RESET)
    passwords.validate(password, row.user)
    hashed = make_password(password)  # slow, so before anything is locked
    with transaction.atomic():
        user = email_tokens.use(token, Purpose.RESET)
        user.password = hashed
        user.save(update_fields=["password"])
        sessions.end_sessions(user)
        # Before `mark_verified`, after which a registration's key no longer counts as a login's.
        keys.revoke_keys(login_keys.of_person(user), origin, reason="password reset")
        address_proofs.end_claim(user, origin)
        address_proofs.mark_verified(user, origin)
        audit.record("password.reset", origin, user_id=user.id)
    _mail_notice(user, origin)
    return user


def change(request: HttpRequest, user: User, password: str) -> None:
    """Set the password of the logged-in person; all sessions but the request's end.

    Raises InvalidInput, and WrongCurrentPassword if it was changed since the request began.
    """
    passwords.validate(password, user)
    hashed = make_password(password)  # slow, so before anything is locked
    with transaction.atomic():
        # A reset, or the same form sent twice, may have set another one.
        same = User.objects.filter(pk=user.pk, password=user.password)
        if not same.select_for_update(no_key=True).exists():
            raise passwords.WrongCurrentPassword
        user.password = hashed
        user.save(update_fields=["password"])
        finish(request, user)


def finish(request: HttpRequest, user: User) -> None:
    """Complete a change of the password that the request has stored.

    Ends other sessions and open reset links, records the change, and mails a notice.
    """
    is_own = request.user.pk == user.pk
    if is_own:
        logins.end_other_sessions(request, user)
    else:
        sessions.end_sessions(user)
    settle(user, audit.of_request(request), action="password.change" if is_own else "password.set")


def settle(user: User, origin: audit.Origin, *, action: str) -> None:
    """End open reset links, record the change under this action, and mail a notice."""
    with transaction.atomic():
        address_proofs.forget_tokens(user)
        audit.record(action, origin, user_id=user.id)
    _mail_notice(user, origin)


def remaining_keys(user: User) -> list[dict[str, Any]]:
    """Return the representation of the person's keys that still work."""
    usable = ApiKey.objects.usable().filter(created_by=user).select_related("project", "use")
    return [
        {
            "id": key.id,
            "name": key.name,
            "hint": key.hint,
            "project_id": key.project_id,
            "last_used_at": use.last_used_at if (use := getattr(key, "use", None)) else None,
        }
        for key in usable
    ]


def remaining_providers(user: User) -> list[str]:
    """Return the names of the providers with identities of the account."""
    return sorted(set(user.identities.values_list("provider", flat=True)))


def labels_of_providers(user: User) -> list[str]:
    """Return the labels of `remaining_providers`."""
    return [providers.LABELS.get(name, name) for name in remaining_providers(user)]


def _mail_notice(user: User, origin: audit.Origin) -> None:
    if user.email:
        mailing.send(
            user.email,
            "password_changed",
            email=user.email,
            address=origin.client_ip,
            providers=labels_of_providers(user),
            account=mailing.page("account"),
            reset=mailing.page("forgot"),
        )
