"""Upstream keys at rest: sealed, and equal ones are found, also after the sealing key changed."""

from io import StringIO

import pytest
from django.core.management import call_command

from core.secrets import Sealed, fingerprint
from gateway.models import UpstreamKey
from tests.gateway.conftest import KEY

pytestmark = pytest.mark.django_db
OLD, NEW = "o" * 40, "n" * 40


def test_equal_keys_have_equal_fingerprints_after_the_sealing_key_changed(manager, settings):
    settings.ENCRYPTION_KEYS = [OLD]
    manager.send("POST", "/manage/projects", {"name": "a", "api_key": KEY}, expect=201)
    before = fingerprint(KEY)
    assert bytes(UpstreamKey.objects.get().digest) == before

    settings.ENCRYPTION_KEYS = [NEW, OLD]
    out = StringIO()
    call_command("resealsecrets", stdout=out)
    settings.ENCRYPTION_KEYS = [NEW]

    manager.send("POST", "/manage/projects", {"name": "b", "api_key": KEY}, expect=201)
    assert "1 resealed" in out.getvalue() and fingerprint(KEY) != before
    assert {bytes(row.digest) for row in UpstreamKey.objects.all()} == {fingerprint(KEY)}
    assert {row.api_key.open() for row in UpstreamKey.objects.all()} == {KEY}
    listed = manager.read("/manage/projects")
    assert [project["api_key"] for project in listed] == ["sk-proj-...WXYZ"] * 2


def test_row_31_key_that_cannot_be_opened_does_not_break_lists(manager, managed):
    UpstreamKey.objects.update(api_key=Sealed("s1.00000000.AAAA"))
    assert manager.read("/manage/projects")[0]["api_key"] == "sk-proj-...WXYZ"
