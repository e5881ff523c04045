"""The pages by which people come in; what they do is what the API does."""

import re

import pytest

from accounts.models import User
from tests.client import ApiClient
from tests.html_page import Page
from tests.people.conftest import PASSWORD, mails, token_in

EMAIL = "ana@example.com"


@pytest.mark.parametrize(
    "path", ["/login", "/sign-up", "/logout", "/forgot", "/reset", "/verify", "/invitation"]
)
def test_every_page_opens_with_a_title_and_is_not_kept(browser, db_all, path):
    for spelling in (path, f"{path}/"):
        response = browser().get(spelling)
        assert response.status_code == 200
        assert re.search(r"<h1.*?>\s*.*</h1>", response.content.decode(), re.DOTALL)
        assert "no-store" in response["Cache-Control"]
        assert {"Cookie", "HX-Request"} <= set(response["Vary"].split(", "))


@pytest.mark.parametrize(("path", "other"), [("/login", "/sign-up"), ("/sign-up", "/login")])
def test_logging_in_and_signing_up_lead_to_each_other_alone(browser, db_all, path, other):
    page = browser().get(path).content.decode()
    assert f'href="{other}"' in page and f'href="{path}"' not in page


def test_signing_up_shows_a_key_once_that_works(browser, db_all):
    made = browser()
    form = {"email": EMAIL, "password": PASSWORD, "organization": "Ruiz"}
    page = made.submit("/sign-up", form, headers={"Accept-Encoding": "gzip"})
    # Its length would say something of the key, beside text that the sender chose.
    assert "Content-Encoding" not in page and "no-transform" in page["Cache-Control"]
    key = re.search(r"llmr_pk_[0-9a-f]{32}", page.content.decode())[0]
    assert "no-store" in page["Cache-Control"]
    assert ApiClient(key).read("/api/v1/logs") == []
    assert made.is_logged_in
    taken = browser().submit("/sign-up", form)
    assert taken.status_code == 409 and "There is an account" in taken.content.decode()


def described(html: str, name: str) -> list[str]:
    """The texts that a screen reader reads with the field of this name."""
    field = re.search(rf'<input[^>]* name="{name}"[^>]*>', html)[0]
    ids = re.search(r'aria-describedby="([^"]*)"', field)[1].split()
    return [re.search(rf'id="{id}"[^>]*>(.*?)</div>', html, re.DOTALL)[1] for id in ids]


def test_a_weak_password_is_explained_beside_its_field(browser, db_all):
    page = browser().submit("/sign-up", {"email": EMAIL, "password": "short"})
    assert page.status_code == 422
    [error] = described(page.content.decode(), "password")
    assert "too short" in error
    form = {"email": EMAIL, "password": PASSWORD, "organization": "x" * 256}
    page = browser().submit("/sign-up", form)
    help_text, error = described(page.content.decode(), "organization")
    assert "Names your first project" in help_text and "at most 255" in error
    page = browser().submit("/sign-up", {"email": "m\u0131ke@example.org", "password": PASSWORD})
    assert page.status_code == 422 and not User.objects.exists()


def test_logging_in_and_out(ana, browser):
    made = browser()
    wrong = made.submit("/login", {"name": EMAIL, "password": "wrong"})
    assert wrong.status_code == 401 and not made.is_logged_in
    assert "E-mail address or password is wrong" in wrong.content.decode()
    reply = made.submit("/login", {"name": EMAIL.upper(), "password": PASSWORD})
    assert (reply.status_code, reply["Location"]) == (302, "/")
    cookie = made.session
    assert made.get("/logout").status_code == 200 and made.is_logged_in
    assert made.submit("/logout", {})["Location"] == "/login?notice=logged-out"
    replay = browser()
    replay.cookies["sessionid"] = cookie
    assert not replay.is_logged_in


def test_resetting_a_password_lists_the_keys_that_still_work(ana, browser):
    ana.send(
        "POST",
        "/api/v1/keys",
        {"name": "production"},
        HTTP_X_PROJECT_ID=ana.account["project_id"],
    )
    made = browser()
    assert made.submit("/forgot", {"email": EMAIL})["Location"] == "/login?notice=mail"
    token = token_in(mails(EMAIL)[-1])
    page = made.submit("/reset", {"token": token, "password": "another long sentence"})
    assert page.status_code == 200 and "production" in page.content.decode()
    again = made.submit("/reset", {"token": token, "password": "another long sentence"})
    assert again.status_code == 400
    assert made.submit("/login", {"name": EMAIL, "password": "another long sentence"})


def test_verifying_by_the_page(person, browser):
    made = person(EMAIL)
    token = token_in(mails(EMAIL)[-1])
    assert browser().submit("/verify", {"token": token}).status_code == 401
    reply = made.submit("/verify", {"token": token})
    assert reply["Location"] == "/account?notice=verified"  # in the session of the account
    assert "The address is confirmed" in made.get(reply["Location"]).content.decode()
    made.user.refresh_from_db()
    assert made.user.email_verified_at is not None


def test_verifying_by_the_password_leads_to_the_login(person, browser, ben):
    person(EMAIL)
    token = token_in(mails(EMAIL)[-1])
    refused = ben.submit("/verify", {"token": token})
    page = Page(refused.content.decode())
    assert refused.status_code == 401 and "Enter the password of the account" in page.text
    assert f"You are logged in as {ben.user.email}" in page.text
    assert page.href("Your account") == "/account" and page.href("Log out") == "/logout"
    reply = ben.submit("/verify", {"token": token, "password": PASSWORD})  # another's session
    assert reply["Location"] == "/login?notice=verified"
    assert User.objects.get(email=EMAIL).email_verified_at is not None


@pytest.mark.parametrize(
    ("path", "way"),
    [
        ("/reset", "/forgot"),
        ("/reset", "/login"),
        ("/forgot", "/login"),
        ("/verify", "/login"),
        ("/confirm-email", "/login"),
        ("/logout", "/projects"),
    ],
)
def test_a_page_leads_on_where_its_form_cannot(browser, db_all, path, way):
    """A link that has expired is opened, and another one is asked for."""
    assert f'href="{way}">' in browser().get(path).content.decode()


def test_notices_are_chosen_by_name_alone(browser, db_all):
    page = browser().get("/login?notice=<script>alert(1)</script>").content.decode()
    assert "alert(1)" not in page
