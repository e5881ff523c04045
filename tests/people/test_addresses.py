"""A01: one mailbox, many spellings."""

import pytest
from django.db import IntegrityError, transaction

from accounts.models import User
from tests.people.conftest import PASSWORD, mails

SPELLINGS = ["ana.ruiz@example.com", " ana.ruiz@example.com ", "ANA.RUIZ@EXAMPLE.COM"]


@pytest.fixture
def ruiz(person):
    return person("Ana.Ruiz@Example.com")


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a01_spellings_are_one_account_and_mail_goes_to_the_stored_one(ruiz, browser, spelling):
    body = {"email": spelling, "password": PASSWORD}
    browser().send("POST", "/api/v1/register", body, expect=409)
    cli = {"email": spelling, "accept_terms": True}
    browser().send("POST", "/api/v1/cli/register", cli, expect=409)
    assert browser().log_in(spelling)["project_id"] == ruiz.account["project_id"]
    browser().send("POST", "/api/v1/password-reset", {"email": spelling})
    assert [each.to for each in mails()][-1] == ["Ana.Ruiz@Example.com"]
    assert User.objects.count() == 1


def test_a01_the_database_itself_keeps_spellings_apart(ruiz):
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.create(username="other", email="ANA.RUIZ@example.com")


@pytest.mark.parametrize("lookalike", ["m\u0131ke@example.org", "MI\u212aE@example.org"])
@pytest.mark.parametrize("route", ["register", "login", "password-reset", "cli/register"])
def test_a01_letters_that_only_look_alike_are_refused(person, browser, lookalike, route):
    person("mike@example.org")
    sent = len(mails())
    body = {"email": lookalike, "password": PASSWORD, "accept_terms": True}
    reply = browser().send("POST", f"/api/v1/{route}", body, expect=422)
    assert reply["detail"][0]["loc"] == ["body", "email"]
    assert len(mails()) == sent


def test_a01_a_plus_address_is_an_account_of_its_own(ruiz, person):
    other = person("ana.ruiz+test@example.com")
    assert other.account["project_id"] != ruiz.account["project_id"]


@pytest.mark.parametrize(
    ("domain", "status"),
    [
        (f"{'d' * 63}.{'e' * 63}.example", 200),
        (f"{'d' * 64}.example", 422),
        (f"mail.{'d' * 64}", 422),
        ("d-.example", 200),
        ("-d.example", 422),
        ("example-", 422),
        ("example.", 422),
    ],
)
def test_domains_to_which_no_mail_can_go_are_refused(browser, db_all, domain, status):
    body = {"email": f"ana@{domain}", "password": PASSWORD}
    assert browser().post_json("/api/v1/register", body).status_code == status
    assert User.objects.filter(email=body["email"]).exists() == (status == 200)


def test_passwords_are_not_repeated_in_errors(browser, db_all):
    for body in ({"password": "my-secret"}, {"email": "x", "password": "my-secret"}):
        response = browser().post("/api/v1/login", body, content_type="application/json")
        assert response.status_code == 422
        assert b"my-secret" not in response.content


def test_broken_json_is_reported_as_everywhere(browser, db_all):
    reply = browser().send("POST", "/api/v1/login", '{"password": my-secret', expect=422)
    (entry,) = reply["detail"]
    assert (entry["type"], entry["loc"], entry["input"]) == ("json_invalid", ["body", 13], {})
    assert "my-secret" not in str(entry)
