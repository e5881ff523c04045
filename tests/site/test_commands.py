"""The README names every command of `manage.py` that is ours, with options that exist."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands, load_command_class

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINES = [
    (name, words)
    for document in DOCUMENTS
    for name, words in re.findall(r"manage(?:\.py)? ([a-z]+)\b([^`#\n]*)", document.read_text())
    if name in get_commands()
]
# Those that change what Django's own of the name do.
REPLACED = {"changepassword", "createsuperuser", "migrate", "runserver"}


def test_readme_names_every_command():
    apps = {"llmring_site", "core", *settings.OWN_APPS}
    ours = {name for name, app in get_commands().items() if app in apps}
    named = set(re.findall(r"`(?:manage\.py )?([a-z]+)\b[^`]*`", README))
    assert ours - REPLACED <= named


@pytest.mark.parametrize(("name", "words"), LINES, ids=[name for name, _ in LINES])
def test_options_in_the_documents_exist(name, words):
    command = load_command_class(get_commands()[name], name)
    options = command.create_parser("manage.py", name)._option_string_actions
    assert set(re.findall(r"--[a-z-]+", words)) <= options.keys()
