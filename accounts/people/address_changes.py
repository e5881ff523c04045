"""A person's change of their own e-mail address: the new one is verified, the old one notified.

The mailed link alone is not enough: if the address was mistyped, its reader is a stranger.
"""

from datetime import timedelta

from django.core import signing
from django.db import transaction
from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from accounts import attempts, audit, locks, mailing, passwords
from accounts.models import User
from accounts.people import address_proofs, email_addresses, logins, registration, requested_mails
from accounts.people.email_tokens import InvalidToken
from core.errors import InvalidInput, issue

LIFETIME = timedelta(days=1)
MAX_PER_PERSON = 10  # in a window of accounts/attempts.py
_SALT = "accounts.address_changes"


def ask(user: User, email: str, origin: audit.Origin) -> None:
    """Mail a link to the new address, and a notice to the old one.

    An address that is taken gets the same mail, so that the person does not learn of it. Raises
    InvalidInput for the person's current address, and TooManyAttempts.
    """
    if email == user.email:
        text = "The account has this address already"
        raise InvalidInput([issue("value_error", ["body", "email"], text, None)])
    attempts.take("address change", str(user.pk), limit=MAX_PER_PERSON)
    if not requested_mails.may_mail(email_addresses.key(email), "change"):
        return
    link = mailing.link("confirm-email", _token(user, email))
    mailing.send(email, "change_email", email=email, link=link)
    if user.email:
        mailing.send(
            user.email,
            "change_email_asked",
            email=user.email,
            new=email,
            address=origin.client_ip,
            reset=mailing.page("forgot"),
        )


def confirm(request: HttpRequest, token: str, *, password: str) -> User:
    """Change the address of the account that a mailed token names; return its person.

    Requires the account's session or password. Other sessions end, and so do links that were
    mailed to the old address. Raises InvalidToken, WrongPassword, AddressTaken.
    """
    user, email, stamp = _read(token)
    session_user = logins.session_user(request)
    is_own = session_user is not None and session_user.pk == user.pk
    if not is_own and not passwords.is_right(user, password):
        raise passwords.WrongPassword
    origin = audit.of_request(request, actor=f"user:{user.pk}")  # by the session or the password
    with transaction.atomic():
        # Locked and compared again: password or address may have changed concurrently.
        user = locks.person(user.pk)
        if user is None or not user.is_active or _stamp(user) != stamp:
            raise InvalidToken
        old, user.email = user.email, email
        registration.store_address(user, update_fields=["email"])
        address_proofs.forget(user, but=request.session.session_key if is_own else None)
        address_proofs.mark_verified(user, origin)
        audit.record("email.change", origin, user_id=user.id, old=old, new=email)
    if old:
        mailing.send(old, "email_changed", email=old, address=origin.client_ip)
    return user


def _token(user: User, email: str) -> str:
    return signing.dumps([user.pk.hex, email, _stamp(user)], salt=_SALT)


def _read(token: str) -> tuple[User, str, str]:
    """Return the person in a token, their new address, and the stamp. Raises InvalidToken."""
    try:
        id, email, stamp = signing.loads(token, salt=_SALT, max_age=LIFETIME)
    except (signing.BadSignature, ValueError):
        raise InvalidToken from None
    user = User.objects.filter(pk=id, is_active=True).first()
    if user is None or _stamp(user) != stamp:
        raise InvalidToken
    return user, email, stamp


def _stamp(user: User) -> str:
    """Return a digest of the account's state. A link is valid until it changes, so once at most."""
    state = [user.pk.hex, user.password, user.email, str(user.email_verified_at)]
    return salted_hmac(_SALT, "\n".join(state), algorithm="sha256").hexdigest()[:32]
