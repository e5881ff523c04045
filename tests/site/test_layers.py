"""What import-linter cannot see: tables in SQL, string foreign keys, look-ups of apps."""

import re
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings

LAYERS = [
    ["core"],
    ["accounts"],
    ["registry_proxy"],
    ["usage"],
    ["aliases", "templates_app"],
    ["conversations"],
    ["receipts", "mcp"],
    ["gateway"],
]
APPS = [app for layer in LAYERS for app in layer]
# Table names that are also ordinary words of SQL-free prose stand behind these.
_IN_SQL = r"(?:FROM|JOIN|INTO|UPDATE|TABLE|USING)\s+"


def sources(app: str):
    for path in sorted(Path(settings.BASE_DIR, app).rglob("*.py")):
        if "migrations" not in path.parts:
            yield path, path.read_text()


def tables(app: str) -> set[str]:
    return {model._meta.db_table for model in apps.get_app_config(app).get_models()}


@pytest.mark.parametrize("app", APPS)
def test_tables_are_named_only_by_their_own_app(app):
    foreign = {table for other in APPS if other != app for table in tables(other)}
    named = re.compile(rf"{_IN_SQL}({'|'.join(sorted(foreign, key=len, reverse=True))})\b")
    assert [
        (path.name, result) for path, text in sources(app) for result in named.findall(text)
    ] == []


@pytest.mark.parametrize("app", [*APPS, "llmring_site"])
def test_apps_are_not_looked_up_by_name(app):
    # Names in settings are Django's own way to put things together.
    forbidden = re.compile(
        r"apps\.is_installed|apps\.get_model\b|import_string\([\"']|import_module\([\"']"
    )
    assert [path.name for path, text in sources(app) if forbidden.search(text)] == []


@pytest.mark.parametrize("app", APPS)
def test_foreign_keys_point_down_or_stay_inside(app):
    level = next(number for number, layer in enumerate(LAYERS) if app in layer)
    below = {name for layer in LAYERS[:level] for name in layer} | {app, "auth", "contenttypes"}
    for model in apps.get_app_config(app).get_models():
        related = {
            field.related_model._meta.app_label
            for field in model._meta.get_fields()
            if field.is_relation and not field.auto_created and field.related_model
        }
        assert related <= below, model
