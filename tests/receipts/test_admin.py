"""Receipts in the admin: read only, with the signature status of what is stored."""

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse

from receipts.models import Receipt, ReceiptKey
from tests.receipts import vectors

CHANGELIST = reverse("admin:receipts_receipt_changelist")
pytestmark = pytest.mark.usefixtures("signing")


@pytest.fixture
def operator(client, db_all):
    client.force_login(get_user_model().objects.create_superuser("operator"))
    return client


@pytest.fixture
def receipt(api):
    api.send("POST", "/api/v1/receipts", vectors.signed_nested())
    return Receipt.objects.get()


def page(operator, path):
    reply = operator.get(path)
    assert reply.status_code == 200
    return reply.content.decode()


def test_the_signature_status_is_that_of_the_stored_text(operator, receipt):
    item = reverse("admin:receipts_receipt_change", args=[receipt.pk])
    for path in (CHANGELIST, item):
        html = page(operator, path)
        assert "verified" in html and "not valid" not in html
    Receipt.objects.update(document=receipt.document.replace("prod", "dev"))
    for path in (CHANGELIST, item):
        assert "not valid" in page(operator, path)
    Receipt.objects.update(document="{")
    for path in (CHANGELIST, item):
        assert "not valid" in page(operator, path)


def test_receipts_are_searched_by_id(operator, receipt):
    assert "rcpt-demo-1" in page(operator, f"{CHANGELIST}?q=rcpt-demo-1")
    assert "rcpt-demo-1" in page(operator, f"{CHANGELIST}?q={receipt.project_id}")
    assert "rcpt-demo-1" not in page(operator, f"{CHANGELIST}?q=none")


def test_nothing_can_be_changed(operator, receipt):
    item = reverse("admin:receipts_receipt_change", args=[receipt.pk])
    assert operator.post(item, {"receipt_id": "x"}).status_code == 403
    assert operator.get(reverse("admin:receipts_receipt_add")).status_code == 403
    delete = reverse("admin:receipts_receipt_delete", args=[receipt.pk])
    assert operator.post(delete, {"post": "yes"}).status_code == 403


def test_keys_are_displayed(operator, receipt):
    api_key = ReceiptKey.objects.get_or_create(
        key_id="k-2025", defaults={"public_key": vectors.KEY.public.raw}
    )[0]
    for name, args in (("changelist", []), ("change", [api_key.pk])):
        assert vectors.PUBLIC in page(
            operator, reverse(f"admin:receipts_receiptkey_{name}", args=args)
        )
