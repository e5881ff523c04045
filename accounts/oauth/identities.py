"""Which account an identity of a provider logs in to.

A known identity logs in to its account, a new one to the account of its address, but only if
the provider has verified that.
"""

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.http import Http404

from accounts import audit, locks, mailing
from accounts.models import Identity, User
from accounts.oauth import providers
from accounts.oauth.providers import LABELS, Profile
from accounts.people import address_proofs, requested_mails
from accounts.people.email_tokens import InvalidToken
from accounts.people.registration import (
    DEFAULT_PROJECT,
    AddressTaken,
    RegistrationClosed,
    new_person,
    store_person,
)
from accounts.projects import create_project
from core.errors import DomainError

CLAIM_SECONDS = 900  # during which a first key can be retrieved
_SALT = "accounts.oauth.address"
_LIFETIME = 86_400  # seconds of a link that proves an address


class LinkRefused(DomainError):
    """The identity is another person's, or may not be connected with the account."""

    status_code = 409
    code = "link_refused"


class IdentityNotShown(DomainError):
    """The browser that opens a mailed link has not logged in with the identity it is for."""

    status_code = 403
    code = "identity_not_shown"

    def __init__(self, provider: str) -> None:
        label = LABELS[provider]
        super().__init__(f"Log in with {label} in this browser first, then open the link again")


class LastWayIn(DomainError):
    """Without the identity nobody could log in to the account."""

    status_code = 409
    code = "last_way_in"

    def __init__(self) -> None:
        super().__init__("This is the only way to log in to the account: set a password first")


class AddressNeeded(Exception):
    """The provider has verified no address of a new identity: the person has to prove one."""


def person_of(profile: Profile, origin: audit.Origin) -> User:
    """Return the person whom the profile logs in; create an account and project for a new one.

    Raises AddressNeeded, LinkRefused, RegistrationClosed.
    """
    known = _known(profile)
    if known is not None:
        return known
    if profile.verified_email is None:
        raise AddressNeeded
    return _connect(profile, profile.verified_email, origin)


def link(profile: Profile, user: User, origin: audit.Origin) -> None:
    """Connect an identity to the logged-in person. Raises LinkRefused."""
    known = Identity.objects.filter(provider=profile.provider, subject=profile.subject).first()
    if known is None:
        with transaction.atomic():
            # A concurrent change of the password ends the session of this request.
            same = User.objects.filter(pk=user.pk, password=user.password, is_active=True)
            if not same.select_for_update(no_key=True).exists():
                raise LinkRefused("Log in again, and connect the account then")
            _store(profile, user, origin)
    elif known.user_id != user.pk:
        raise LinkRefused("Another account is connected with this identity")


def unlink(id: UUID, user: User, origin: audit.Origin) -> None:
    """Disconnect an identity from the logged-in person. Raises Http404, LastWayIn."""
    with transaction.atomic():
        # Locked: of the last two identities, disconnected concurrently, one has to stay.
        user = locks.person(user.pk)
        identity = of_person(id, user)
        if id not in dispensable(user):
            raise LastWayIn
        identity.delete()
        audit.record("identity.unlink", origin, user_id=user.pk, provider=identity.provider)


def of_person(id: UUID, user: User) -> Identity:
    """Return the person's identity with this id. Raises Http404."""
    identity = Identity.objects.filter(pk=id, user=user).first()
    if identity is None:
        raise Http404("Identity not found")
    return identity


def dispensable(user: User) -> set[UUID]:
    """Return the ids of the identities without which the person can still log in.

    That is by a password, or by another identity whose provider is configured.
    """
    rows = dict(user.identities.values_list("id", "provider"))
    if user.has_usable_password() and not requested_mails.must_verify(user):
        return set(rows)
    opening = {id for id, provider in rows.items() if provider in providers.names()}
    return {id for id in rows if opening - {id}}


def address_token(profile: Profile, email: str) -> str:
    """Return a token for a mail to the address, by which its reader proves it for the identity."""
    return signing.dumps([profile.provider, profile.subject, email], salt=_SALT)


def connect_by_token(token: str, shown: Profile | None, origin: audit.Origin) -> None:
    """Connect the identity that a mailed token names with its address.

    `shown` is the identity that the browser logged in with. The token works once: a known
    identity needs none. Raises InvalidToken, IdentityNotShown.
    """
    try:
        provider, subject, email = signing.loads(token, salt=_SALT, max_age=_LIFETIME)
    except (signing.BadSignature, ValueError):
        raise InvalidToken from None
    if Identity.objects.filter(provider=provider, subject=subject).exists():
        raise InvalidToken
    if shown != Profile(provider, subject, None):
        raise IdentityNotShown(provider)
    _connect(shown, email, origin)


def _known(profile: Profile) -> User | None:
    identity = (
        Identity.objects.filter(provider=profile.provider, subject=profile.subject)
        .select_related("user")
        .first()
    )
    if identity is None:
        return None
    if not identity.user.is_active:
        raise LinkRefused("The account is not active")
    return identity.user


def _connect(profile: Profile, email: str, origin: audit.Origin) -> User:
    with transaction.atomic():
        found = User.objects.with_email(email)
        user = found and locks.person_with_projects(found.pk)
        if user is None:
            user = _new_person(email, origin)
        elif not user.is_active:
            raise LinkRefused("The account is not active")
        elif user.email_verified_at is None:
            if user.is_staff or user.is_superuser:
                # An operator entered the address: it does not prove who owns the account.
                raise LinkRefused("Log in with your password first, and connect the account then")
            address_proofs.take_over(user, origin)
            _allow_key(user)
        _store(profile, user, origin)
    return user


def _new_person(email: str, origin: audit.Origin) -> User:
    if settings.REGISTRATION != "open":
        raise RegistrationClosed
    user = new_person(email, None)
    try:
        store_person(user)
    except AddressTaken:
        raise LinkRefused("Somebody has this address already; log in with your password") from None
    audit.record("person.register", origin, user_id=user.id)
    address_proofs.mark_verified(user, origin)
    create_project(user, DEFAULT_PROJECT, origin)
    _allow_key(user)
    return user


def _allow_key(user: User) -> None:
    User.objects.filter(pk=user.pk).update(key_claim_until=Now() + timedelta(seconds=CLAIM_SECONDS))


def _store(profile: Profile, user: User, origin: audit.Origin) -> None:
    try:
        with transaction.atomic():
            Identity.objects.create(user=user, provider=profile.provider, subject=profile.subject)
    except IntegrityError:
        raise LinkRefused("Another account is connected with this identity") from None
    audit.record("identity.link", origin, user_id=user.id, provider=profile.provider)
    if user.email:
        mailing.send(
            user.email,
            "linked",
            email=user.email,
            provider=LABELS[profile.provider],
            reset=mailing.page("forgot"),
            account=mailing.page("account"),
        )
