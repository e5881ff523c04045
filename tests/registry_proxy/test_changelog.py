import pytest

from tests.registry_proxy import samples

PRICE = "dollars_per_million_tokens_input"


@pytest.fixture
def history(refreshed, upstream):
    """Four snapshots: a first, a price and a flag, the manifest alone, a price again."""
    cheaper, cheapest = (
        samples.changed("openai", samples.MINI, **{PRICE: price, "is_active": False})
        for price in (0.1, 0.05)
    )
    refreshed(8, 18)
    refreshed(8, 19, openai=cheaper)
    upstream.files["manifest.json"] = b'{"version": "v3.5"}'
    refreshed(8, 19)
    refreshed(8, 19, openai=cheapest)


def test_changelog_is_grouped_by_version_newest_first(anonymous, history):
    body = anonymous.read("/registry/changelog")
    assert [change["version"] for change in body["changes"]] == [
        "2026.08.19.3",
        "2026.08.19",
        "2026.08.18",
    ]
    assert body["changes"][1] == {
        "version": "2026.08.19",
        "date": "2026-08-19",
        "entries": [
            {
                "change_type": "price_changed",
                "model": "openai:gpt-4o-mini",
                "field": PRICE,
                "old_value": 0.15,
                "new_value": 0.1,
                "notes": None,
            },
            {
                "change_type": "deactivated",
                "model": "openai:gpt-4o-mini",
                "field": "is_active",
                "old_value": True,
                "new_value": False,
                "notes": None,
            },
        ],
    }


def test_the_first_version_added_every_model(anonymous, refreshed):
    refreshed(8, 18)
    (first,) = anonymous.read("/registry/changelog/")["changes"]
    assert [(entry["change_type"], entry["model"]) for entry in first["entries"]] == [
        ("added", "anthropic:claude-opus-4-1-20250805"),
        ("added", "anthropic:claude-sonnet-4-5-20250929"),
        ("added", "google:gemini-2.5-flash"),
        ("added", "openai:gpt-4.1"),
        ("added", "openai:gpt-4o-mini"),
    ]
    assert first["entries"][0]["notes"] == "Claude Opus 4.1"


@pytest.mark.parametrize(
    "query, versions",
    [
        ({"since": "2026.08.18"}, ["2026.08.19.3", "2026.08.19"]),
        ({"since": "2026-08-19"}, ["2026.08.19.3"]),
        ({"since": "2026.08.19.2"}, ["2026.08.19.3"]),
        ({"since": "2026.08.19.3"}, []),
        ({"since": "2020.01.01"}, ["2026.08.19.3", "2026.08.19", "2026.08.18"]),
        ({"since": "2030.01.01"}, []),
        ({"since": "v3.5"}, ["2026.08.19.3"]),
        ({"limit": "1"}, ["2026.08.19.3"]),
        ({"limit": "100", "since": ""}, ["2026.08.19.3", "2026.08.19", "2026.08.18"]),
        ({"limit": "", "since": "2026.08.18"}, ["2026.08.19.3", "2026.08.19"]),
    ],
)
def test_since_and_limit(anonymous, history, query, versions):
    body = anonymous.read("/registry/changelog", query)
    assert [change["version"] for change in body["changes"]] == versions


def test_changes_since_the_version_that_the_registry_states(anonymous, history, upstream):
    """Upstream has named every state alike for a year: its name is that of the first one."""
    stated = anonymous.read("/registry", {"version": "2026.08.18"})["version"]
    assert stated == "2025-08-20"
    body = anonymous.read("/registry/changelog", {"since": stated})
    assert [change["version"] for change in body["changes"]] == ["2026.08.19.3", "2026.08.19"]


@pytest.mark.parametrize(
    "query, type",
    [
        ({"limit": "0"}, "greater_than_equal"),
        ({"limit": "101"}, "less_than_equal"),
        ({"limit": "ten"}, "int_parsing"),
        ({"limit": "9" * 5000}, "int_parsing_size"),
        ({"since": "yesterday"}, "version_parsing"),
        ({"since": "2026.13.01"}, "version_parsing"),
        ({"since": "9" * 5000}, "version_parsing"),
        ({"since": "\x00"}, "version_parsing"),
    ],
)
def test_malformed_queries_are_refused(anonymous, refreshed, query, type):
    refreshed(8, 18)
    (issue,) = anonymous.read("/registry/changelog", query, expect=422)["detail"]
    assert (issue["type"], issue["loc"]) == (type, ["query", *query])


def test_inactive_models_say_since_when(anonymous, refreshed):
    """The changelog knows the day, where upstream only says that a model is inactive."""

    def inactive_from(path: str = "/registry") -> str | None:
        return anonymous.read(path)["models"][samples.MINI]["inactive_from"]

    inactive = samples.changed("openai", samples.MINI, is_active=False)
    refreshed(8, 19)
    assert inactive_from() is None
    refreshed(8, 20, openai=inactive)
    assert inactive_from() == "2026-08-20T12:00:00Z"
    assert inactive_from("/registry/v/2026.08.19/registry.json") is None
    refreshed(8, 21, openai=samples.changed("openai", samples.MINI, is_active=True))
    assert inactive_from() is None
    refreshed(8, 22, openai=inactive)
    assert inactive_from() == "2026-08-22T12:00:00Z"
