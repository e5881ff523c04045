"""Registration: a new account, with a project and a first key."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import api_keys, audit, invitations, keys, locks, login_keys, mailing
from accounts.models import Invitation, Project, Purpose, User
from accounts.people import address_proofs, email_tokens
from accounts.projects import MAX_NAME, create_project
from core.database.constraints import violated_constraint
from core.errors import DomainError
from core.ids import uuid7
from core.visible_text import is_visible

DEFAULT_PROJECT = "My project"


class AddressTaken(DomainError):
    """Somebody has an account with this address."""

    status_code = 409
    code = "address_taken"

    def __init__(self) -> None:
        super().__init__("There is an account with this e-mail address; log in instead")


class RegistrationClosed(DomainError):
    status_code = 403
    code = "registration_closed"

    def __init__(self) -> None:
        super().__init__("This server does not accept registrations; ask its operator")


@dataclass(frozen=True, slots=True)
class Registered:
    """The result of a registration. For a taken address it is a key that will never work."""

    api_key: str
    is_active: bool  # whether the key works already
    user: User | None = None
    project: Project | None = None


def register(
    email: str,
    password: str | None,
    origin: audit.Origin,
    *,
    organization: str | None = None,
    project_name: str | None = None,
) -> Registered:
    """Open an account.

    Raises RegistrationClosed, and AddressTaken. If addresses have to be verified, the result for
    a taken one looks like that of a new one instead.
    """
    if settings.REGISTRATION != "open":
        raise RegistrationClosed
    needs_proof = settings.REQUIRE_EMAIL_VERIFICATION
    user = new_person(email, password)
    try:
        with transaction.atomic():
            store_person(user)
            project = create_project(user, _project_name(organization, project_name), origin)
            _, text = login_keys.issue(
                user, project, origin, name=login_keys.REGISTRATION_NAME, is_pending=needs_proof
            )
            audit.record("person.register", origin, user_id=user.id, project_id=project.id)
            token = email_tokens.issue(user, Purpose.VERIFY)
    except AddressTaken:
        if not needs_proof:
            raise
        return _pretend(email)
    mailing.send(user.email, "verify", email=user.email, link=mailing.link("verify", token))
    return Registered(text, not needs_proof, user, project)


def register_invited(token: str, email: str, password: str, origin: audit.Origin) -> User:
    """Open an account with the address of an invitation, which the mailed link proves.

    An account that only claimed the address is taken over (accounts/people/address_proofs.py).
    Raises RegistrationClosed, invitations.InvalidInvitation, AddressTaken.
    """
    if settings.REGISTRATION == "closed":
        raise RegistrationClosed
    new = new_person(email, password)  # hashing is slow, so before anything is locked
    with transaction.atomic():
        found = User.objects.with_email(email)
        claimed = found and locks.person_with_projects(found.pk)
        invitation = invitations.open_invitation(token, email)
        if claimed is not None:
            # Operators deactivate accounts; an invitation does not undo that.
            is_operators = claimed.is_staff or claimed.is_superuser or not claimed.is_active
            if claimed.email_verified_at or is_operators:
                raise AddressTaken
            address_proofs.take_over(claimed, origin)
            claimed.password = new.password
            claimed.save(update_fields=["password"])
            user = claimed
        else:
            user = _store_invited(new, invitation, origin)
        invitations.join(invitation, user, origin)
    return user


def new_person(email: str, password: str | None) -> User:
    """Return an account that is not stored yet. Its user name is its id."""
    id = uuid7()
    user = User(id=id, username=str(id), email=email)
    # Hashed in any case: the time must not reveal whether the address is taken.
    user.set_password(password)
    return user


def store_person(user: User) -> None:
    """Store a new person. Raises AddressTaken."""
    store_address(user, force_insert=True)


def store_address(user: User, **options: Any) -> None:
    """Save a person with a new address; `options` are those of `save`. Raises AddressTaken.

    Somebody else's user name is taken too: one of the two could not log in with it.
    """
    if User.objects.exclude(pk=user.pk).filter(username__iexact=user.email).exists():
        raise AddressTaken
    try:
        with transaction.atomic():
            user.save(**options)
    except IntegrityError as error:
        if violated_constraint(error) != "users_email_once":
            raise
        raise AddressTaken from None


def _store_invited(user: User, invitation: Invitation, origin: audit.Origin) -> User:
    user.email = invitation.email
    user.email_verified_at = timezone.now()
    store_person(user)
    audit.record("person.register", origin, user_id=user.id, invited=True)
    return user


def _pretend(email: str) -> Registered:
    """Return the result of a new address, and mail the owner of the taken one."""
    owner = User.objects.with_email(email)
    text = api_keys.generate()
    keys.retire_text(text)
    if owner is not None:
        mailing.send(owner.email, "taken", email=owner.email, login=mailing.page("login"))
    return Registered(text, False)


def _project_name(organization: str | None, project_name: str | None) -> str:
    names = (name.strip() for name in (project_name, organization) if name)
    return next(filter(is_visible, names), DEFAULT_PROJECT)[:MAX_NAME]
