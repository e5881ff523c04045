"""Setting the operator's own prices, by command and in the admin."""

from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO

import pytest
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.db import transaction

from accounts import audit
from accounts.models import User
from registry_proxy import custom_prices, pricing
from registry_proxy.custom_prices import PriceOverlap
from registry_proxy.models import CustomPrice
from registry_proxy.tokens import Tokens
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/registry_proxy/customprice/"


def set_price(*args, **options) -> str:
    out = StringIO()
    call_command("setprice", *args, stdout=out, **options)
    return out.getvalue()


def test_a_price_is_set_and_used_at_once(db_all):
    pricing.price("local", "llama", Tokens(1))
    out = set_price("local", "llama", "input=0.05", "web_searches=0.01", valid_from="2026-01-01")
    row = CustomPrice.objects.get()
    assert out == f"Set price {row.id}: local:llama from 2026-01-01\n"
    assert row.prices == {"input": "0.05", "web_searches": "0.01"}
    assert pricing.price("local", "llama", Tokens(input=20)).cost == Decimal("0.000001")


def test_units_have_any_name_that_is_not_nearly_a_class(db_all):
    units = ("output_images", "pages", "searches", "audio_seconds", "cached_audio_tokens")
    set_price("local", "llama", *(f"{unit}=1" for unit in units))
    assert CustomPrice.objects.get().prices.keys() == {*units}


def test_a_price_has_a_project_a_modifier_and_an_end(project):
    set_price(
        *("azure", "*"),
        priced_as="openai:gpt-4o",
        factor="1.1",
        modifier="region=eu",
        project=str(project.id),
        valid_from="2026-01-01T00:00:00+02:00",
        valid_to="2027-01-01",
        note="contract 7",
    )
    row = CustomPrice.objects.get()
    assert (row.project_id, row.modifier, row.factor) == (project.id, "region=eu", Decimal("1.1"))
    assert row.valid_from == datetime(2025, 12, 31, 22, tzinfo=UTC)
    assert row.valid_to == datetime(2027, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "args, options, message",
    [
        (["p", "m"], {}, "needs `prices`"),
        (["p", "m", "input"], {}, "not name=dollars"),
        (["p", "m", "input=free"], {}, "not a price"),
        (["p", "m", "input=-1"], {}, "not a price"),
        (["p", "m", "input=NaN"], {}, "not a price"),
        (["p", "m", "In put=1"], {}, "not the name of a token class or unit"),
        (["p", "m", "input_tokens=1"], {}, "the classes are input, cache_read, "),
        (["p", "m", "inptu=1"], {}, "'inptu' is not the name of a token class"),
        (["p", "m", "cached_input=1"], {}, "'cached_input' is not"),
        (["p", "m", "input=1"], {"factor": "x"}, "decimal number"),
        (["p", "m"], {"factor": "-1"}, "custom_prices_factor_not_negative"),
        (["p", "m"], {"priced_as": "gpt-4o"}, "provider:model"),
        (["p", "m", "input=1"], {"modifier": "fast"}, "name=value"),
        (["p", "m", "input=1"], {"valid_from": "soon"}, "not an ISO 8601 time"),
        (
            ["p", "m", "input=1"],
            {"valid_from": "2026-02-01", "valid_to": "2026-01-01"},
            "ends after it begins",
        ),
        (["p", "m", "input=1"], {"project": "nobody"}, "no project nobody"),
        (["p" * 51, "m", "input=1"], {}, "at most 50 characters"),
    ],
)
def test_malformed_prices_are_refused(db_all, args, options, message):
    with pytest.raises(CommandError, match=message):
        set_price(*args, **options)
    assert not CustomPrice.objects.exists()


@pytest.mark.parametrize(
    "begin, end",
    [
        ("2026-01-15", None),
        ("2025-12-01", "2026-01-02"),
        ("2026-01-10", "2026-01-20"),
        ("2025-01-01", None),
    ],
)
def test_overlapping_ranges_are_refused(project, begin, end):
    set_price("openai", "gpt-*", "input=1", valid_from="2026-01-01", valid_to="2026-02-01")
    with pytest.raises(CommandError, match="overlaps this period"):
        set_price("OpenAI", "GPT-*", "input=2", valid_from=begin, valid_to=end)
    set_price("openai", "gpt-*", "input=2", valid_from="2026-02-01")
    set_price("openai", "gpt-*", "input=2", valid_from="2026-01-01", project=project.name)
    set_price("openai", "gpt-*", "input=2", valid_from="2026-01-01", modifier="speed=fast")
    set_price("openai", "gpt-4*", "input=2", valid_from="2026-01-01")
    assert CustomPrice.objects.count() == 5


def test_a_price_replaces_the_one_that_holds_until_then(db_all):
    set_price("openai", "gpt-*", "input=1", valid_from="2026-01-01")
    set_price("openai", "gpt-*", "input=2", valid_from="2026-02-01", replace=True)
    rows = CustomPrice.objects.order_by("valid_from").values_list("prices", "valid_to")
    assert list(rows) == [
        ({"input": "1"}, datetime(2026, 2, 1, tzinfo=UTC)),
        ({"input": "2"}, None),
    ]
    with pytest.raises(CommandError, match="overlaps this period"):
        set_price("openai", "gpt-*", "input=3", valid_from="2026-01-15", replace=True)
    assert [row[1] for row in rows.all()] == [datetime(2026, 2, 1, tzinfo=UTC), None]


def test_of_two_prices_set_at_once_one_is_refused(db_all):
    def save() -> bool:
        try:
            custom_prices.save(
                CustomPrice(provider="p", model="m", prices={"input": "1"}),
                origin=audit.of_command("setprice"),
            )
        except PriceOverlap:
            return False
        return True

    assert sorted(at_once(save, save)) == [False, True]
    assert CustomPrice.objects.count() == 1


def test_a_price_is_used_although_it_was_followed_before_its_commit(db_all):
    with transaction.atomic():
        set_price("local", "llama", "input=0.05", valid_from="2026-01-01")
        at_once(custom_prices.current.follow)
    assert pricing.price("local", "llama", Tokens(input=20)).cost == Decimal("0.000001")


def test_another_process_learns_of_a_price(db_all):
    pricing.price("local", "llama", Tokens(1))
    CustomPrice.objects.create(  # as the other process stores it
        provider="local", model="llama", prices={"input": "1"}, valid_from="2026-01-01T00:00Z"
    )
    assert pricing.price("local", "llama", Tokens(1)).cost is None
    custom_prices.current.follow()
    assert pricing.price("local", "llama", Tokens(1)).cost == Decimal("0.000001")


@pytest.fixture
def admin(client, db_all):
    client.force_login(User.objects.create_superuser("admin"))
    return client


FORM = {
    "provider": "openai",
    "model": "gpt-4o",
    "prices": '{"input": 2.25}',
    "valid_from_0": "2026-01-01",
    "valid_from_1": "00:00",
    "note": "contract 7",
}


def test_a_price_is_added_and_ended_in_the_admin(admin):
    assert admin.post(f"{LIST}add/", FORM).status_code == 302
    row = CustomPrice.objects.get()
    assert row.prices == {"input": "2.25"}
    page = admin.get(f"{LIST}{row.id}/change/").content.decode()
    assert "contract 7" in page
    ended = {"valid_to_0": "2026-02-01", "valid_to_1": "00:00", "note": "ended", "model": "other"}
    assert admin.post(f"{LIST}{row.id}/change/", ended).status_code == 302
    row.refresh_from_db()
    assert (row.valid_to, row.note, row.model) == (
        datetime(2026, 2, 1, tzinfo=UTC),
        "ended",
        "gpt-4o",
    )
    assert admin.post(f"{LIST}{row.id}/delete/").status_code == 403


def test_prices_of_adjoining_periods_are_added_in_the_admin(admin):
    begin, end = {"valid_from_1": "00:00"}, {"valid_to_1": "00:00"}
    admin.post(f"{LIST}add/", {**FORM, **end, "valid_to_0": "2026-02-01"})
    admin.post(f"{LIST}add/", {**FORM, **begin, "valid_from_0": "2026-02-01"})
    earlier = {"valid_from_0": "2025-12-01", "valid_to_0": "2026-01-01"}
    admin.post(f"{LIST}add/", {**FORM, **begin, **end, **earlier})
    assert CustomPrice.objects.count() == 3


@pytest.mark.parametrize(
    "changed, message",
    [
        ({}, "Another price for these models overlaps this period."),
        ({"model": "other", "prices": "[1]"}, "Write an object"),
        ({"model": "other", "prices": "[" * 20_000}, "Enter a valid JSON."),
        ({"model": "other", "prices": '{"input": NaN}'}, "Enter a valid JSON."),
        ({"model": "other", "prices": '{"input": "free"}'}, "is not a price"),
        ({"model": "other", "prices": '{"input_tokens": "1"}'}, "the classes are input, "),
        ({"model": "other", "prices": "{}"}, "A price needs"),
        (
            {"model": "other", "valid_to_0": "2025-01-01", "valid_to_1": "00:00"},
            "A price ends after it begins.",
        ),
    ],
)
def test_malformed_prices_are_refused_in_the_admin(admin, changed, message):
    admin.post(f"{LIST}add/", FORM)
    response = admin.post(f"{LIST}add/", {**FORM, **changed})
    assert response.status_code == 200
    assert message in response.content.decode()
    assert CustomPrice.objects.count() == 1


def test_view_permission_alone_changes_no_price(client, db_all):
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_customprice"))
    client.force_login(viewer)
    row = custom_prices.save(
        CustomPrice(provider="p", model="m", prices={"input": "1"}),
        origin=audit.of_command("setprice"),
    )
    assert client.get(LIST).status_code == 200
    assert client.post(f"{LIST}add/", FORM).status_code == 403
    assert client.post(f"{LIST}{row.id}/change/", {"note": "x"}).status_code == 403
