"""What the wheel needs, and what it says of itself."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest
from django.conf import settings
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
STANDARD_LIBRARY = {*sys.stdlib_module_names, "compression"}  # the last from Python 3.14 on
PACKAGES = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


def imported_modules(package: str) -> set[str]:
    modules = set()
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                modules.add(node.module.split(".")[0])
    return modules


@pytest.mark.slow
def test_every_import_is_declared():
    """Also what other packages bring along today: they may stop."""
    declared = {
        canonicalize_name(Requirement(line).name) for line in PROJECT["project"]["dependencies"]
    } | {"psycopg-pool"}  # an extra of psycopg
    distributions = importlib.metadata.packages_distributions()
    undeclared = {
        module
        for package in PACKAGES
        for module in imported_modules(package) - set(PACKAGES) - STANDARD_LIBRARY
        if not {canonicalize_name(name) for name in distributions.get(module, [])} & declared
    }
    assert undeclared == set()


def test_wheel_has_every_app():
    assert {"llmring_server", "llmring_site", "core", *settings.OWN_APPS} == set(PACKAGES)


def test_commands_of_the_wheel_exist():
    for target in PROJECT["project"]["scripts"].values():
        module, name = target.split(":")
        assert callable(getattr(__import__(module, fromlist=[name]), name))


def test_licence_and_changelog_are_there():
    assert PROJECT["project"]["license"] == "MIT"
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")
    assert "## Unreleased" in (ROOT / "CHANGELOG.md").read_text()


LOCK = (ROOT / "requirements.lock").read_text()
LOCKED = [
    (canonicalize_name(match[1]), match[2])
    for match in re.finditer(r"^([\w.-]+)(?:\[.*?\])?==([^\s;]+)", LOCK, re.MULTILINE)
]


def test_every_python_gets_the_same_versions():
    """Or pages are seen that no test has seen."""
    names = [name for name, _ in LOCKED]
    assert sorted(names) == sorted(set(names))


def test_lock_names_what_is_declared_and_no_index():
    assert "://" not in LOCK and "--index" not in LOCK
    locked = dict(LOCKED)
    for line in PROJECT["project"]["dependencies"]:
        requirement = Requirement(line)
        assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)]), line
