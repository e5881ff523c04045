"""People and their projects in the admin: what staff change there, and what is recorded of it."""

import pytest

from accounts.models import AuditEvent, Membership, User
from tests.client import ApiClient

PEOPLE = "/admin/accounts/user/"


def join(owner, other, role: str) -> Membership:
    """Make a person a member of another one's project."""
    project_id = owner.account["project_id"]
    return Membership.objects.create(user=other.user, project_id=project_id, role=role)


def recorded(*actions: str) -> list[str]:
    """The actions of the audit log's events, oldest first; of all, or of these."""
    events = AuditEvent.objects.order_by("id").values_list("action", flat=True)
    return [each for each in events if not actions or each in actions]


def delete_on_page(boss, user):
    return boss.submit(f"{PEOPLE}{user.id}/delete/", {"post": "yes"}, follow=True)


def delete_in_list(boss, user):
    form = {"action": "delete_selected", "_selected_action": [str(user.id)], "post": "yes"}
    return boss.submit(PEOPLE, form, follow=True)


@pytest.mark.parametrize("delete", [delete_on_page, delete_in_list])
def test_staff_who_delete_a_person_end_their_keys(boss, ana, ben, browser, delete):
    """As `delete-account` does."""
    join(ana, ben, "owner")
    key = browser().log_in("ana@example.com")["api_key"]
    delete(boss, ana.user)
    assert not User.objects.filter(pk=ana.user.pk).exists()
    ApiClient(key).read("/api/v1/logs", expect=401)
    event = AuditEvent.objects.get(action="person.delete")
    assert event.user_id == ana.user.pk and event.actor.startswith("user:")
    assert "key.revoke" in recorded()


@pytest.mark.parametrize("delete", [delete_on_page, delete_in_list])
def test_the_last_owner_of_a_project_is_not_deleted(boss, ana, delete):
    assert "keeps an owner" in delete(boss, ana.user).content.decode()
    assert User.objects.filter(pk=ana.user.pk).exists()
    ApiClient(ana.account["api_key"]).read("/api/v1/logs")
    assert not recorded("person.delete", "key.revoke")
