"""What the container image is built from: nothing here builds it."""

import re
import tomllib
from pathlib import Path

import pytest
from django.apps import apps

from llmring_site import env

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture
def packages(project) -> set[str]:
    return set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])


def test_the_build_context_has_every_package(packages):
    lines = (ROOT / ".dockerignore").read_text().split()
    assert lines[0] == "**"
    assert {f"!{name}" for name in packages} <= set(lines)


def test_the_wheel_has_every_app(packages):
    own = {config.name for config in apps.get_app_configs() if Path(config.path).parent == ROOT}
    assert own and own <= packages


def test_variables_of_compose_are_the_servers():
    """Its `.env` is the server's too, which warns of variables that it does not know."""
    named = set(re.findall(r"LLMRING_\w+", (ROOT / "compose.yaml").read_text()))
    assert named - {"LLMRING_"} <= env.known


def test_the_locked_requirements_have_every_dependency(project):
    locked = set(re.findall(r"^([\w.-]+)(?:\[.*\])?==", requirements(), re.MULTILINE))
    wanted = {
        re.match(r"[\w.-]+", line)[0].lower().replace("_", "-")
        for line in project["project"]["dependencies"]
        if "python_version" not in line
    }
    assert wanted <= {name.lower().replace("_", "-") for name in locked}


def requirements() -> str:
    return (ROOT / "requirements.lock").read_text()
