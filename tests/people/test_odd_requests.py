"""Nothing that a person sends fails, on any route about accounts, projects and members."""

import pytest

from accounts.models import Membership
from tests import odd_requests, openapi


def is_for_people(path: str, operation: dict) -> bool:
    by_session = any("PersonSession" in each for each in operation.get("security", []))
    return by_session and not openapi.is_for_keys(operation)


@pytest.fixture
def ours(ana, ben):
    """A member and an invitation of Ana's project."""
    project_id = ana.account["project_id"]
    Membership.objects.create(user=ben.user, project_id=project_id, role="member")
    invitation = {"email": "cleo@example.com", "role": "viewer"}
    made = ana.send("POST", f"/api/v1/projects/{project_id}/invitations", invitation)
    return {"project_id": project_id, "user_id": ben.user.id, "invitation_id": made["id"]}


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path", "operation"), odd_requests.operations(is_for_people))
def test_no_route_fails(ours, ana, method, path, operation):
    odd_requests.check(ana, method, path, operation, ours)
