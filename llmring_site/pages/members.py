"""The pages of a project's members and invitations."""

from collections.abc import Iterable
from uuid import UUID

from django.http import Http404, HttpResponse

from accounts import invitations, memberships
from accounts.models import Membership, Role
from accounts.people.page_base import Page, to_page
from accounts.permissions import Action
from llmring_site.pages.base import ProjectPage, QuestionPage, once
from llmring_site.pages.forms import InvitationForm, RoleForm

MAX_SHOWN = 1_000


class GivesRoles:
    """A page whose form has a role, which may be `owner` for owners only."""

    def get_form(self, form_class=None):
        form = super().get_form(form_class)
        if self.role != Role.OWNER:
            roles = form.fields["role"].choices
            form.fields["role"].choices = [each for each in roles if each[0] != Role.OWNER]
        return form


class MembersPage(GivesRoles, ProjectPage, Page):
    """The members; for admins and owners also the invitations and the form for a new one."""

    template_name = "llmring_site/pages/members.html"
    form_class = InvitationForm
    title, button = "Members", "Send the invitation"

    def find(self, **path) -> None:
        if self.request.method == "POST":
            self.action = Action.ADMINISTER
        super().find(**path)

    def get_context_data(self, **kwargs):
        members = self.project.memberships.select_related("user").order_by("id")[:MAX_SHOWN]
        may_invite = Action.ADMINISTER in self.caller.permissions
        return {
            **super().get_context_data(**kwargs),
            "members": members,
            "role": self.role,
            "is_owner": self.role == Role.OWNER,
            # A superuser acts as an owner, but has no ownership to hand over.
            "may_hand_over": memberships.own_role(self.request.user, self.project) == Role.OWNER,
            "last_owner": _last_owner(members),
            "invitations": self.project.invitations.all()[:MAX_SHOWN] if may_invite else [],
        }

    def carry_out(self, data) -> HttpResponse:
        with once("This form has sent its invitation already"):
            invitations.invite(
                self.project,
                self.request.user,
                data["email"],
                data["role"],
                by=self.role,
                origin=self.origin,
                id=data["form_id"],
            )
        return self.to("project-members", "invited")


class MemberPage(QuestionPage):
    """A page about one member."""

    action = Action.ADMINISTER
    back = "project-members"

    def find(self, *, user_id: str, **path) -> None:
        super().find(**path)
        rows = Membership.objects.filter(project=self.project, user_id=UUID(user_id))
        self.member = rows.select_related("user").first()
        if self.member is None:
            raise Http404(memberships.MEMBER_NOT_FOUND)
        self.subject = self.member


class RolePage(GivesRoles, MemberPage):
    form_class = RoleForm
    title, button = "Change a role", "Change"

    def get_initial(self):
        return {**super().get_initial(), "role": self.member.role}

    def carry_out(self, data) -> HttpResponse:
        memberships.change_role(
            self.project, self.member.user_id, data["role"], by=self.role, origin=self.origin
        )
        return self.to("project-members", "role")


class RemovePage(MemberPage):
    """Removes a member. Every member may remove themselves."""

    button = "Remove"
    is_danger = True

    def find(self, *, user_id: str, **path) -> None:
        self.leaves = UUID(user_id) == self.request.user.id
        if self.leaves:
            self.action, self.button = Action.READ, "Leave"
        super().find(user_id=user_id, **path)

    @property
    def title(self) -> str:
        return "Leave the project?" if self.leaves else "Remove a member?"

    def carry_out(self, data) -> HttpResponse:
        by = None if self.leaves else self.role
        memberships.remove(self.project, self.member.user_id, by=by, origin=self.origin)
        if self.leaves:
            return to_page("projects", "left")
        return self.to("project-members", "removed")


class HandOverPage(MemberPage):
    title, button = "Hand the project over?", "Hand over"
    text = "The member becomes the owner, and you become an admin, in one step."

    def find(self, **path) -> None:
        super().find(**path)
        if memberships.own_role(self.request.user, self.project) != Role.OWNER:
            raise memberships.RoleRefused("Only an owner hands a project over")

    def carry_out(self, data) -> HttpResponse:
        memberships.hand_over(self.project, self.request.user, self.member.user_id, self.origin)
        return self.to("project-members", "handed-over")


class InvitationPage(QuestionPage):
    """A page about one invitation."""

    action = Action.ADMINISTER
    back = "project-members"

    def find(self, *, invitation_id: str, **path) -> None:
        super().find(**path)
        self.invitation = invitations.of_project(self.project, UUID(invitation_id))
        self.subject = self.invitation


class WithdrawPage(InvitationPage):
    title, button = "Withdraw the invitation?", "Withdraw"
    text = "Its link ends."

    def carry_out(self, data) -> HttpResponse:
        invitations.withdraw(self.invitation, self.origin)
        return self.to("project-members", "withdrawn")


class ResendPage(InvitationPage):
    title, button = "Send the invitation again?", "Send it again"
    text = "The link of the earlier mail ends."

    def carry_out(self, data) -> HttpResponse:
        invitations.resend(self.invitation, self.request.user, by=self.role, origin=self.origin)
        return self.to("project-members", "invited")


def _last_owner(members: Iterable[Membership]) -> UUID | None:
    """Return the only active owner among the members, who can neither leave nor be demoted."""
    owners = [each.user_id for each in members if each.role == Role.OWNER and each.user.is_active]
    return owners[0] if len(owners) == 1 else None
