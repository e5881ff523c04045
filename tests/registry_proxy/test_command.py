from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from registry_proxy.models import Snapshot
from tests.registry_proxy import samples


def run() -> str:
    out = StringIO()
    call_command("refreshregistry", stdout=out, stderr=StringIO())
    return out.getvalue()


def test_first_refresh_stores_all_models(db_all, upstream):
    upstream.publish()
    lines = run().splitlines()
    assert lines[-1] == f"Stored {Snapshot.objects.get()}: 5 models, 5 changes"
    assert sum("added" in line for line in lines) == 5


def test_changes_are_shown(refreshed, upstream):
    refreshed(8, 19)
    upstream.publish(openai=samples.changed("openai", samples.MINI, speed_tier="[red]fast"))
    out = run()
    assert "field_changed" in out
    assert '"[red]fast"' in out
    assert out.endswith(": 5 models, 1 changes\n")


def test_nothing_new(refreshed):
    refreshed(8, 19)
    assert run() == "Nothing has changed: 2026.08.19 with 5 models\n"


def test_upstream_away_is_a_failure(refreshed, upstream):
    refreshed(8, 19)
    upstream.down = True
    with pytest.raises(CommandError, match="not available: anthropic/models.json"):
        run()
    assert Snapshot.objects.count() == 1


def test_spellings_in_another_letter_case_are_reported(db_all, upstream):
    upstream.publish(**samples.real_files())
    suspects = [
        "Suspect: openai:GPT-4.1, priced as openai:gpt-4.1 (same prices)",
        "Suspect: openai:GPT-4o, priced as openai:gpt-4o (cached_input None instead of 1.25, "
        "output 2.5 instead of 10.0)",
    ]
    assert run().splitlines()[:2] == suspects
    assert run().splitlines()[:2] == suspects
