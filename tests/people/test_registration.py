"""Opening an account, from a page, by the API and by the released client."""

import pytest

from accounts import api_keys
from accounts.models import ApiKey, AuditEvent, Membership, Project, RetiredKey, User
from tests.client import ApiClient
from tests.people.conftest import PASSWORD, mails, token_in

CALL = {"provider": "p", "model": "m", "input_tokens": 1, "output_tokens": 1}


def test_registration_gives_a_key_that_works(browser, db_all):
    body = {"email": "ana@example.com", "password": PASSWORD, "organization": "Ruiz & Co"}
    reply = browser().send("POST", "/api/v1/register", body)
    ApiClient(reply["api_key"]).send("POST", "/api/v1/log", CALL)
    project = Project.objects.get(id=reply["project_id"])
    assert project.name == "Ruiz & Co"
    assert Membership.objects.get().role == "owner"
    assert AuditEvent.objects.filter(action="key.create", project_id=project.id).count() == 1


def test_released_client_registers_without_a_password(browser, db_all):
    """Contract 12.3: the client needs `api_key`, and shows `dashboard_url`."""
    body = {
        "email": "ana@example.com",
        "organization": None,
        "project_name": "laptop",
        "accept_terms": True,
    }
    client = ApiClient()
    reply = client.send("POST", "/api/v1/cli/register", body)
    assert ApiClient(reply["api_key"]).read("/api/v1/logs") == []
    assert reply["api_key_active"] is True and reply["dashboard_url"].startswith("http")
    again = client.send("POST", "/api/v1/cli/register", body, expect=409)
    assert again == {"detail": "There is an account with this e-mail address; log in instead"}
    client.send("POST", "/api/v1/cli/register", {**body, "accept_terms": False}, expect=422)
    assert Project.objects.get().name == "laptop"


def test_mass_assignment_changes_nothing(browser, db_all):
    """C02: what the body says of rights and ids is ignored."""
    body = {
        "email": "mallory@example.com",
        "password": PASSWORD,
        "is_staff": True,
        "is_superuser": True,
        "is_active": False,
        "email_verified": True,
        "email_verified_at": "2020-01-01T00:00:00Z",
        "role": "owner",
        "tier": "team",
        "user": {"is_staff": True},
        "project_id": "0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
        "scopes": [],
    }
    browser().send("POST", "/api/v1/register?is_staff=1", body)
    user = User.objects.get()
    assert (user.is_staff, user.is_superuser, user.is_active) == (False, False, True)
    assert user.email_verified_at is None
    assert str(Project.objects.get().id) != body["project_id"]
    assert ApiKey.objects.get().scopes == ["all"]


@pytest.mark.parametrize(("mode", "status"), [("invited", 403), ("closed", 403), ("open", 200)])
def test_the_operator_decides_who_may_register(settings, browser, db_all, mode, status):
    settings.REGISTRATION = mode
    body = {"email": "ana@example.com", "password": PASSWORD}
    browser().send("POST", "/api/v1/register", body, expect=status)
    assert User.objects.count() == (status == 200)


@pytest.fixture
def verification(settings):
    settings.REQUIRE_EMAIL_VERIFICATION = True
    settings.API_KEY_VALIDATION_MODE = "bridge"


def test_a02_with_verification_a_taken_address_gets_the_same_reply(verification, browser, db_all):
    """A02: and its owner a mail; the key that is made up never opens anything."""
    body = {"email": "ana@example.com", "password": PASSWORD}
    replies = [browser().post("/api/v1/register", body, content_type="application/json")]
    replies += [browser().post("/api/v1/register", body, content_type="application/json")]
    new, taken = replies
    assert new.status_code == taken.status_code == 200
    assert len(new.content) == len(taken.content)
    new_key, taken_key = new.json().pop("api_key"), taken.json().pop("api_key")
    without_key = [{**each.json(), "api_key": ""} for each in replies]
    assert without_key[0] == without_key[1]
    assert new.cookies.keys() == taken.cookies.keys()
    assert set(new.headers) == set(taken.headers)
    assert [each.subject for each in mails("ana@example.com")] == [
        "Confirm your e-mail address for LLMRing",
        "You already have an LLMRing account",
    ]
    for key in (new_key, taken_key):
        ApiClient(key).send("POST", "/api/v1/log", CALL, expect=401)
    assert RetiredKey.objects.get().digest == api_keys.digest(taken_key)
    assert (User.objects.count(), Project.objects.count()) == (1, 1)


def test_key_waits_for_the_verification(verification, browser, db_all):
    body = {"email": "ana@example.com", "password": PASSWORD}
    client = browser()
    key = client.send("POST", "/api/v1/register", body)["api_key"]
    client.log_in("ana@example.com", expect=403)
    token = token_in(mails()[0])
    stranger = browser()
    stranger.send("POST", "/api/v1/verify-email", {"token": token}, expect=401)
    ApiClient(key).read("/api/v1/logs", expect=401)
    client.send("POST", "/api/v1/verify-email", {"token": token, "password": PASSWORD})
    assert ApiClient(key).read("/api/v1/logs") == []
    client.send("POST", "/api/v1/verify-email", {"token": token, "password": PASSWORD}, expect=400)
    client.log_in("ana@example.com")


@pytest.mark.slow
def test_registrations_are_limited_by_the_callers_address(browser, db_all):
    client = browser("198.51.100.7")
    for number in range(30):
        body = {"email": f"a{number}@example.com", "password": PASSWORD}
        client.send("POST", "/api/v1/register", body)
    body = {"email": "b@example.com", "password": PASSWORD}
    response = client.post("/api/v1/register", body, content_type="application/json")
    assert response.status_code == 429
    assert 1 <= int(response["Retry-After"]) <= 900
    browser("198.51.100.8").send("POST", "/api/v1/register", body)


@pytest.mark.parametrize("password", ["short", "password1", "x" * 300, ""])
def test_weak_passwords_are_refused(browser, db_all, password):
    body = {"email": "ana@example.com", "password": password}
    reply = browser().send("POST", "/api/v1/register", body, expect=422)
    assert reply["detail"][0]["loc"] == ["body", "password"]
    assert User.objects.count() == 0


@pytest.fixture
def root(browser, db_all):
    """A superuser whose user name is an address, without an address of the account."""
    return User.objects.create_superuser("Root@corp.test", password=PASSWORD)


def opens_the_admin(browser, name: str = "Root@corp.test") -> bool:
    page = browser.submit("/admin/login/", {"username": name, "password": PASSWORD})
    return page.status_code == 302


@pytest.mark.parametrize("email", ["root@corp.test", "Root@corp.test", "ROOT@CORP.TEST"])
@pytest.mark.parametrize("route", ["register", "cli/register"])
def test_a_superusers_name_is_a_taken_address(root, browser, email, route):
    body = {"email": email, "password": "an attacker's own", "accept_terms": True}
    browser().send("POST", f"/api/v1/{route}", body, expect=409)
    assert User.objects.get() == root
    assert opens_the_admin(browser())


def test_a02_with_verification_a_superusers_name_gets_the_reply_of_every_address(
    root, verification, browser
):
    replies = [
        browser().post_json("/api/v1/register", {"email": email, "password": PASSWORD})
        for email in ("root@corp.test", "new@corp.test")
    ]
    without_key = [{**each.json(), "api_key": ""} for each in replies]
    assert without_key[0] == without_key[1]
    assert [each.status_code for each in replies] == [200, 200]
    assert User.objects.filter(email="root@corp.test").count() == 0


def test_a_superusers_name_is_not_registered_by_an_invitation(root, ana, browser):
    path = f"/api/v1/projects/{ana.account['project_id']}/invitations"
    ana.send("POST", path, {"email": "root@corp.test", "role": "member"})
    token = token_in(mails("root@corp.test")[-1])
    page = browser().submit("/invitation", {"token": token, "password": "an attacker's own"})
    assert page.status_code == 409
    assert opens_the_admin(browser())


def test_a_superuser_gets_in_though_somebody_has_the_name_as_an_address(root, browser):
    """As in a database of an earlier version: operators choose names, anybody an address."""
    user = User(username="x", email="root@corp.test")
    user.set_password("an attacker's own")
    user.save()
    assert opens_the_admin(browser())


def test_the_admin_keeps_names_and_addresses_apart(root, ana, browser):
    User.objects.create_superuser("boss", password=PASSWORD)
    boss = browser()
    assert opens_the_admin(boss, "boss")
    form = {"email": "ana@example.com", "is_active": "on", "username": ana.user.username}
    form |= {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    for name in ("memberships", "identities"):
        form |= {f"{name}-TOTAL_FORMS": 0, f"{name}-INITIAL_FORMS": 0}
    page = f"/admin/accounts/user/{ana.user.id}/change/"
    refused = boss.submit(page, {**form, "email": "root@corp.test"})
    assert "Another person has this e-mail address as their user name" in refused.content.decode()
    passwords = {"password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
    refused = boss.submit("/admin/accounts/user/add/", {"username": "ANA@example.com", **passwords})
    assert "Another person has this user name as their e-mail" in refused.content.decode()
    assert boss.submit(page, {**form, "username": "ana@example.com"}).status_code == 302
    browser().log_in("ana@example.com")
    assert User.objects.count() == 3
