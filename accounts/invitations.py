"""Invitations: for one address, single-use, valid while the inviter may still invite."""

import re
import unicodedata
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now
from django.http import Http404
from django.utils import timezone

from accounts import attempts, audit, locks, mailing, memberships
from accounts.models import Invitation, Membership, Project, Role, User
from accounts.people import address_proofs, email_addresses, email_tokens
from accounts.permissions import Action, role_permissions
from core.errors import DomainError
from core.ids import uuid7

LIFETIME = timedelta(days=7)
MAX_MAILED_NAME = 60  # characters
# Addresses, also without a scheme, which mail programs turn into links.
_ADDRESS = re.compile(r"://|@|[^\W_][.\u3002][^\W\d_]{2}")
_JOINERS = "\u200c\u200d"  # inside words of some languages, and emoji
MAX_PER_PERSON = 50  # in a window of accounts/attempts.py


class InvalidInvitation(DomainError):
    """Used, expired, withdrawn, replaced, unknown, or of an inviter who may no longer invite."""

    code = "invalid_invitation"

    def __init__(self) -> None:
        super().__init__("The invitation is invalid or has expired; ask for a new one")


class ForAnotherAddress(DomainError):
    """The person has another address than the invitation, which stays open."""

    status_code = 403
    code = "for_another_address"

    def __init__(self) -> None:
        super().__init__("The invitation is for another address; log in with that one")


def invite(
    project: Project,
    inviter: User,
    email: str,
    role: str,
    *,
    by: str,
    origin: audit.Origin,
    id: UUID | None = None,
) -> Invitation:
    """Mail an invitation; an open one for the same address is replaced.

    Raises RoleRefused, TooManyAttempts, SessionEnded, and IntegrityError if `id` exists.
    """
    attempts.take("invitations", str(inviter.id), limit=MAX_PER_PERSON)
    memberships.check_owner_rule(by, role)
    token = email_tokens.generate()
    with transaction.atomic():
        locks.same_person(inviter)
        locks.projects([project.pk])
        open_ones = project.invitations.filter(accepted_at=None, withdrawn_at=None)
        open_ones.filter(email__iexact=email).update(withdrawn_at=Now())
        invitation = Invitation.objects.create(
            id=id or uuid7(),
            project=project,
            email=email,
            role=role,
            digest=email_tokens.digest(token),
            invited_by=inviter,
            expires_at=timezone.now() + LIFETIME,
        )
        _record("invitation.send", origin, invitation)
    _mail(invitation, token)
    return invitation


def resend(invitation: Invitation, inviter: User, *, by: str, origin: audit.Origin) -> Invitation:
    """Mail an invitation again, with a new link. Raises the errors of `invite`."""
    if invitation.status in ("accepted", "withdrawn"):
        raise InvalidInvitation
    return invite(
        invitation.project, inviter, invitation.email, invitation.role, by=by, origin=origin
    )


def withdraw(invitation: Invitation, origin: audit.Origin) -> None:
    """End an invitation that is still open. Raises InvalidInvitation."""
    with transaction.atomic():
        rows = Invitation.objects.filter(pk=invitation.pk, accepted_at=None, withdrawn_at=None)
        if not rows.update(withdrawn_at=Now()):
            raise InvalidInvitation
        invitation.refresh_from_db(fields=["withdrawn_at"])
        _record("invitation.withdraw", origin, invitation)


def peek(token: str) -> Invitation:
    """Return the invitation of a token that can be used now. Raises InvalidInvitation."""
    invitation = (
        Invitation.objects.filter(
            digest=email_tokens.digest(token),
            accepted_at=None,
            withdrawn_at=None,
            expires_at__gt=Now(),
            project__archived_at=None,
        )
        .select_related("project", "invited_by")
        .first()
    )
    if invitation is None or not _could_still_invite(invitation):
        raise InvalidInvitation
    return invitation


def open_invitation(token: str, email: str) -> Invitation:
    """Return the locked invitation of a token, for the address it was sent to.

    Raises InvalidInvitation, ForAnotherAddress.
    """
    found = peek(token)
    if email_addresses.key(found.email) != email_addresses.key(email):
        raise ForAnotherAddress
    # no_key: rows that refer to the project may be added meanwhile.
    Project.objects.select_for_update(no_key=True).get(pk=found.project_id)
    rows = Invitation.objects.select_for_update(of=("self",)).select_related("project")
    invitation = rows.filter(pk=found.pk, accepted_at=None, withdrawn_at=None).first()
    if invitation is None:
        raise InvalidInvitation
    return invitation


def accept(token: str, user: User, origin: audit.Origin) -> Membership:
    """Make the logged-in person a member. Raises InvalidInvitation, ForAnotherAddress."""
    with transaction.atomic():
        if locks.person(user.pk) is None:
            raise InvalidInvitation
        invitation = open_invitation(token, user.email)
        address_proofs.mark_verified(user, origin)
        return join(invitation, user, origin)


def join(invitation: Invitation, user: User, origin: audit.Origin) -> Membership:
    """Accept a locked invitation: make the person a member, or keep a higher role."""
    invitation.accepted_at = timezone.now()
    invitation.save(update_fields=["accepted_at"])
    _record("invitation.accept", origin, invitation, user_id=user.id)
    return memberships.add(invitation.project, user, invitation.role, origin)


def of_project(project: Project, id) -> Invitation:
    """Return an invitation of the project. Raises Http404."""
    invitation = project.invitations.filter(pk=id).select_related("project").first()
    if invitation is None:
        raise Http404("Invitation not found")
    return invitation


def _could_still_invite(invitation: Invitation) -> bool:
    inviter = invitation.invited_by
    permissions = role_permissions(inviter, invitation.project_id) or ()
    if not inviter.is_active or Action.ADMINISTER not in permissions:
        return False
    if invitation.role != Role.OWNER or inviter.is_superuser:
        return True
    own = Membership.objects.filter(user=inviter, project=invitation.project_id, role=Role.OWNER)
    return own.exists()


def _mail(invitation: Invitation, token: str) -> None:
    mailing.send(
        invitation.email,
        "invitation",
        email=invitation.email,
        inviter=_name_of(invitation.invited_by),
        project=_mailed_name(invitation.project.name),
        role=invitation.role,
        link=mailing.link("invitation", token),
    )


def _mailed_name(name: str) -> str:
    """Return a project's name for a mail to a stranger; empty if it contains an address.

    Anybody may name a project and invite any address: the name must not become a message.
    """
    name = unicodedata.normalize("NFKC", name)
    shown = "".join(each if each.isprintable() or each in _JOINERS else " " for each in name)
    words = " ".join(shown.split())
    if _ADDRESS.search(words.translate(dict.fromkeys(map(ord, _JOINERS)))):
        return ""
    return words if len(words) <= MAX_MAILED_NAME else f"{words[: MAX_MAILED_NAME - 1]}…"


def _name_of(inviter: User) -> str:
    """Return the inviter's name for a mail, which says if the address is unverified."""
    is_claimed = inviter.email and not inviter.email_verified_at
    return f"{inviter} (address not confirmed)" if is_claimed else str(inviter)


def _record(action: str, origin: audit.Origin, invitation: Invitation, **about) -> None:
    audit.record(
        action,
        origin,
        project_id=invitation.project_id,
        email=invitation.email,
        role=invitation.role,
        **about,
    )
