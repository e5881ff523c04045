"""New passwords: set through a mailed link, or chosen while logged in."""

from typing import Any

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.http import HttpRequest

from accounts import audit, keys, login_keys, mailing, passwords, sessions
from accounts.models import ApiKey, Purpose, User
from accounts.oauth import providers
from accounts.people import address_proofs, email_tokens, logins


def reset(token: str, password: str, origin: audit.Origin) -> User:
    """Set the password of the person whom the token names.

    Ends their sessions and the keys that logins gave, not the other keys of a project: a
    reset must not stop production. Nor does it end connected identities, by which most come
    in who forget a password: the person is told which there are. The first proof of an
    address ends identities and members of whoever claimed it, too. Raises InvalidToken and
    InvalidInput, which leave the token usable.
    """
    row = email_tokens.peek(token, Purpose.RESET)
    passwords.validate(password, row.user)
    hashed = make_password(password)  # before anything is locked: it takes long
    with transaction.atomic():
        user = email_tokens.use(token, Purpose.RESET)
        user.password = hashed
        user.save(update_fields=["password"])
        sessions.end_sessions(user)
        # Before the proof, after which a registration's key no longer counts as a login's.
        keys.revoke_keys(login_keys.of_person(user), origin, reason="password reset")
        address_proofs.end_claim(user, origin)
        address_proofs.mark_verified(user, origin)
        audit.record("password.reset", origin, user_id=user.id)
    _mail_notice(user, origin)
    return user


def change(request: HttpRequest, user: User, password: str) -> None:
    """Set the password of the logged-in person; only the request's session goes on.

    Raises InvalidInput, and WrongCurrentPassword if the one that the person proved is so no more.
    """
    passwords.validate(password, user)
    hashed = make_password(password)  # before anything is locked: it takes long
    with transaction.atomic():
        # A reset, or the same form sent twice, may set another one at this moment.
        same = User.objects.filter(pk=user.pk, password=user.password)
        if not same.select_for_update(no_key=True).exists():
            raise passwords.WrongCurrentPassword
        user.password = hashed
        user.save(update_fields=["password"])
        finish(request, user)


def finish(request: HttpRequest, user: User) -> None:
    """Do what a new password brings with it, whoever has stored it, and by which form.

    Other sessions and open reset links end; it is recorded, and the person gets a mail.
    """
    is_own = request.user.pk == user.pk
    if is_own:
        logins.end_other_sessions(request, user)
    else:
        sessions.end_sessions(user)
    settle(user, audit.of_request(request), action="password.change" if is_own else "password.set")


def settle(user: User, origin: audit.Origin, *, action: str) -> None:
    """End open reset links, record the new password under the action, and mail the person."""
    with transaction.atomic():
        address_proofs.forget_tokens(user)
        audit.record(action, origin, user_id=user.id)
    _mail_notice(user, origin)


def remaining_keys(user: User) -> list[dict[str, Any]]:
    """Return what is shown of the keys that the person made and that still work."""
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
    """Return the names of the providers whose identities open the account."""
    return sorted(set(user.identities.values_list("provider", flat=True)))


def labels_of_providers(user: User) -> list[str]:
    """Return the same as people know them."""
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
