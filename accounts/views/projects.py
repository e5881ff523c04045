"""A person's projects, with members and invitations. Only for sessions, not for keys."""

from uuid import UUID

from django.http import Http404
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts import attempts, audit, invitations, memberships, projects
from accounts.admission import ProjectArchived
from accounts.models import Membership, Project, Role
from accounts.permissions import Action, NotPermitted, role_permissions
from accounts.schemas import people
from accounts.schemas import projects as schemas
from accounts.schemas.examples import TIME
from accounts.views.base import PersonView
from core.paths import uuid_in_path

NOT_FOUND = "Project not found"


class ProjectViewSet(PersonView, GenericViewSet):
    queryset = Project.objects.select_related("tier").order_by("-id")
    lookup_url_kwarg = "project_id"
    lookup_value_regex = "[^/]+"
    tags = ["projects"]
    reply = schemas.ProjectReply
    bodies = {
        "create": schemas.ProjectName,
        "partial_update": schemas.ProjectName,
        "hand_over": schemas.HandOver,
        "change_role": schemas.RoleChange,
        "invite": schemas.NewInvitation,
    }
    queries = {"list": schemas.ProjectsQuery}
    errors = {
        operation: {409: "The project would lose its last owner"}
        for operation in ("change_role", "remove_member")
    } | {"hand_over": {409: "The member's account is not active"}}
    replies = {
        "hand_over": schemas.MemberReply,
        "members": list[schemas.MemberReply],
        "change_role": schemas.MemberReply,
        "remove_member": people.Notice,
        "invitations": list[schemas.InvitationReply],
        "invite": schemas.InvitationReply,
        "withdraw": schemas.InvitationReply,
        "resend": schemas.InvitationReply,
    }
    reply_examples = {
        "archive": {"archived_at": TIME},
        "hand_over": {"role": "owner"},
        "change_role": {"role": "viewer"},
        "remove_member": {"message": "The member is removed."},
        "withdraw": {"status": "withdrawn"},
    }

    def get_serializer(self, *args, **kwargs):
        return self.reply

    def list(self, request):
        """List your projects, newest first; staff see all of the server"""
        rows, user, query = self.get_queryset(), request.user, self.query
        if not user.is_staff and not user.is_superuser:
            rows = rows.filter(memberships__user=user)
        page = list(rows[query.offset : query.offset + query.limit])
        roles = dict(
            Membership.objects.filter(user=user, project__in=page).values_list("project_id", "role")
        )
        return Response([_represent(each, roles.get(each.id)) for each in page])

    def create(self, request):
        """Create a project that you own"""
        project = projects.create_project(request.user, self.body.name, audit.of_request(request))
        return Response(_represent(project, Role.OWNER))

    def retrieve(self, request, project_id):
        """Get a project"""
        project = self._project(Action.READ)
        return Response(_represent(project, memberships.own_role(request.user, project)))

    def partial_update(self, request, project_id):
        """Rename a project"""
        project = self._project(Action.ADMINISTER)
        projects.rename_project(project, self.body.name, audit.of_request(request))
        return Response(_represent(project, memberships.own_role(request.user, project)))

    @action(detail=True, methods=["post"])
    def archive(self, request, project_id):
        """Archive a project: its keys are refused, its data stays

        For owners. The operator deletes it with `manage.py deleteproject`.
        """
        project = self._project(Action.ADMINISTER)
        if memberships.acting_role(request.user, project) != Role.OWNER:
            raise memberships.RoleRefused("Only an owner archives a project")
        projects.archive_project(project.id, audit.of_request(request))
        project.refresh_from_db()
        return Response(_represent(project, memberships.own_role(request.user, project)))

    @action(detail=True, methods=["post"], url_path="hand-over")
    def hand_over(self, request, project_id):
        """Make another member the owner in your place; you become an admin"""
        project = self._project(Action.ADMINISTER)
        if memberships.own_role(request.user, project) != Role.OWNER:
            raise memberships.RoleRefused("Only an owner hands a project over")
        new = memberships.hand_over(
            project, request.user, self.body.user_id, audit.of_request(request)
        )
        return Response(_member(new))

    @action(detail=True)
    def members(self, request, project_id):
        """List the members"""
        project = self._project(Action.READ)
        rows = project.memberships.select_related("user").order_by("id")
        return Response([_member(each) for each in rows])

    @action(detail=True, methods=["patch"], url_path=r"members/(?P<user_id>[^/]+)")
    def change_role(self, request, project_id, user_id):
        """Change a member's role"""
        project = self._project(Action.ADMINISTER)
        membership = memberships.change_role(
            project,
            uuid_in_path(user_id, "user_id"),
            self.body.role,
            by=memberships.acting_role(request.user, project),
            origin=audit.of_request(request),
        )
        return Response(_member(membership))

    @change_role.mapping.delete
    def remove_member(self, request, project_id, user_id):
        """Remove a member, or leave

        409 for the last owner: hand the project over, or archive it, first.
        """
        id = uuid_in_path(user_id, "user_id")
        leaves = id == request.user.id
        project = self._project(Action.READ if leaves else Action.ADMINISTER)
        memberships.remove(
            project,
            id,
            by=None if leaves else memberships.acting_role(request.user, project),
            origin=audit.of_request(request),
        )
        return Response({"message": "The member is removed."})

    @action(detail=True)
    def invitations(self, request, project_id):
        """List the invitations, newest first"""
        project = self._project(Action.ADMINISTER)
        return Response([_invitation(each) for each in project.invitations.all()[:1_000]])

    @invitations.mapping.post
    def invite(self, request, project_id):
        """Invite an address by mail

        The link works once, for seven days, and for that address only. An open invitation
        of the same address is replaced.
        """
        project = self._project(Action.ADMINISTER)
        invitation = invitations.invite(
            project,
            request.user,
            self.body.email,
            self.body.role,
            by=memberships.acting_role(request.user, project),
            origin=audit.of_request(request),
        )
        return Response(_invitation(invitation))

    @action(detail=True, methods=["delete"], url_path=r"invitations/(?P<invitation_id>[^/]+)")
    def withdraw(self, request, project_id, invitation_id):
        """Withdraw an invitation: its link ends"""
        invitation = self._invitation(invitation_id)
        invitations.withdraw(invitation, audit.of_request(request))
        return Response(_invitation(invitation))

    @action(detail=True, methods=["post"], url_path=r"invitations/(?P<invitation_id>[^/]+)/resend")
    def resend(self, request, project_id, invitation_id):
        """Mail an invitation again; the earlier link ends

        The reply is a new invitation, with an id of its own.
        """
        invitation = self._invitation(invitation_id)
        again = invitations.resend(
            invitation,
            request.user,
            by=memberships.acting_role(request.user, invitation.project),
            origin=audit.of_request(request),
        )
        return Response(_invitation(again))

    def _invitation(self, id: str):
        project = self._project(Action.ADMINISTER)
        return invitations.of_project(project, uuid_in_path(id, "invitation_id"))

    def _project(self, action: Action) -> Project:
        """Return the project of the path, if the person may do this in it.

        Raises Http404 for one they do not see, NotPermitted, ProjectArchived.
        """
        id: UUID = uuid_in_path(self.kwargs["project_id"], "project_id")
        permissions = role_permissions(self.request.user, id)
        project = Project.objects.filter(id=id).first()
        if permissions is None or project is None:
            raise Http404(NOT_FOUND)
        if action not in permissions:
            raise NotPermitted(action)
        if project.archived_at and action is not Action.READ:
            raise ProjectArchived
        return project


def _represent(project: Project, role: str | None) -> dict:
    return {
        "id": project.id,
        "name": project.name,
        "created_at": project.created_at,
        "archived_at": project.archived_at,
        "role": role,
        "tier": projects.tier_name(project),
    }


def _member(membership: Membership) -> dict:
    return {
        "user_id": membership.user_id,
        "email": membership.user.email,
        "role": membership.role,
        "since": membership.created_at,
    }


def _invitation(invitation) -> dict:
    return {
        name: getattr(invitation, name)
        for name in ("id", "email", "role", "status", "created_at", "expires_at")
    }


class AcceptInvitationView(PersonView):
    bodies = {"post": people.InvitationToken}
    replies = {"post": people.OwnProject}

    def post(self, request):
        """Accept an invitation for the address of who is logged in

        403 for another's: it stays open. A higher role that the person has is kept.
        """
        attempts.take_of_address(request, "confirm")
        membership = invitations.accept(self.body.token, request.user, audit.of_request(request))
        project = membership.project
        return Response(
            {
                "id": project.id,
                "name": project.name,
                "role": membership.role,
                "tier": projects.tier_name(project),
            }
        )
