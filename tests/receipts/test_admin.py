"""Receipts in the admin: read only, with the signature status of what is stored."""

import re
import shlex
import subprocess
from html import unescape

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse
from django.utils.html import escape

from receipts.models import Receipt, ReceiptKey
from tests.receipts import ledger, vectors

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


def test_receipt_is_checked_with_openssl_and_the_downloads(operator, receipt, tmp_path):
    html = page(operator, reverse("admin:receipts_receipt_change", args=[receipt.pk]))
    links = re.findall(r'href="([^"]*/file/\w+/)"', html)
    assert len(links) == 4
    for link in links:
        reply = operator.get(link)
        name = re.search(r'filename="([^"]+)"', reply["Content-Disposition"])[1]
        (tmp_path / name).write_bytes(reply.content)
    assert (tmp_path / "rcpt-demo-1.json").read_text() == receipt.document
    openssl, own = re.findall(r"<pre[^>]*><code>([^<]+)</code></pre>", html)
    done = subprocess.run(shlex.split(openssl), cwd=tmp_path, capture_output=True, text=True)
    assert "Verified Successfully" in done.stdout, done
    assert own == "llmring-verify rcpt-demo-1.json --key rcpt-demo-1.pem"
    (tmp_path / "rcpt-demo-1.text").write_bytes(b"{}")
    done = subprocess.run(shlex.split(openssl), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0


def test_document_is_shown_as_it_was_sent_and_member_by_member(operator, receipt):
    html = page(operator, reverse("admin:receipts_receipt_change", args=[receipt.pk]))
    assert escape(receipt.document) in html
    assert re.search(r"cost\.amount</th><td[^>]*>0\.00033<", html)
    assert html.index("verified") < html.index("Document</h2>")


def test_altered_receipt_has_a_reason_and_no_signed_text(operator, receipt):
    Receipt.objects.update(document=receipt.document.replace("prod", "dev"))
    html = page(operator, reverse("admin:receipts_receipt_change", args=[receipt.pk]))
    assert "the signature does not match the document" in html
    for kind, status in (("json", 200), ("text", 404), ("signature", 404), ("pem", 404)):
        link = reverse("admin:receipts_receipt_download", args=[receipt.pk, kind])
        assert operator.get(link).status_code == status, kind
    link = reverse("admin:receipts_receipt_download", args=[receipt.pk, "exe"])
    assert operator.get(link).status_code == 404


def test_certified_logs_and_their_receipt_lead_to_each_other(operator, api):
    logs = [ledger.log(api) for _ in range(2)]
    done = api.send("POST", "/api/v1/receipts/generate", {"since_last_receipt": True})
    made = Receipt.objects.get(receipt_id=done["receipt"]["receipt_id"])
    html = page(operator, reverse("admin:receipts_receipt_change", args=[made.pk]))
    for log in logs:
        assert f'href="/admin/usage/usagelog/{log}/change/"' in html
        assert made.receipt_id in page(operator, f"{CHANGELIST}?certifies={log}")
    assert made.receipt_id not in page(operator, f"{CHANGELIST}?certifies={made.pk}")
    assert operator.get(f"{CHANGELIST}?certifies=x", follow=True).status_code == 200


def test_members_of_a_document_are_shown_as_json(operator, api):
    log = ledger.log(api)
    api.send("POST", "/api/v1/receipts/generate", {"log_ids": [log]})
    html = page(operator, reverse("admin:receipts_receipt_change", args=[Receipt.objects.get().pk]))
    cells = re.findall(r'<th scope="row"[^>]*>(.*?)</th><td>(.*?)</td>', html)
    shown = {name: unescape(value) for name, value in cells}
    assert shown["batch_summary.log_ids"] == f'["{log}"]'
    assert (shown["batch_summary.logs.listed"], shown["tags"]) == ("true", "[]")
    assert (shown["description"], shown["profile"]) == ("null", "default")


def test_files_need_the_permission_to_view(client, receipt):
    client.force_login(get_user_model().objects.create_user("eve", is_staff=True))
    link = reverse("admin:receipts_receipt_download", args=[receipt.pk, "json"])
    assert client.get(link).status_code == 403
