"""docs/gateway.md lists the codes of errors that its routes have, each with its status."""

import re
from pathlib import Path

import pytest

from core import errors as common
from core.errors import DomainError
from gateway.errors import GatewayError
from llmring_site import urls

__all__ = ["urls"]  # whose views bring the errors of their apps

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "gateway.md").read_text()
# What a bug becomes, and what DRF calls its own (core/errors.py).
OF_NO_CLASS = {"internal_error", "not_found", "method_not_allowed", "not_permitted"}


def listed(section: str) -> dict[str, set[str]]:
    """Return the statuses of each code in the table of a section."""
    _, _, text = PAGE.partition(f"\n{section}\n")
    _, _, table = text.partition("\n| status | code |\n|---|---|\n")
    codes: dict[str, set[str]] = {}
    for row in table.partition("\n\n")[0].splitlines():
        _, statuses, texts, _ = row.split("|")
        for code in re.findall(r"`([a-z_]+)`", texts):
            codes.setdefault(code, set()).update(re.findall(r"\d+", statuses))
    return codes


def kinds(base: type[DomainError]) -> list[type[DomainError]]:
    """Return the classes below `base` that have a code of their own."""
    found = [kind for each in base.__subclasses__() for kind in (each, *kinds(each))]
    return [kind for kind in found if "code" in vars(kind)]


@pytest.mark.parametrize("kind", kinds(GatewayError), ids=lambda kind: kind.code)
def test_codes_of_the_gateway_are_listed(kind):
    assert str(kind.status_code) in listed("### Errors").get(kind.code, ())


@pytest.mark.parametrize("section", ["### Errors", "## Management API"])
def test_listed_codes_exist(section):
    codes = {kind.code for kind in kinds(DomainError)} | OF_NO_CLASS
    assert len(listed(section)) > 15
    assert listed(section).keys() <= codes


@pytest.mark.parametrize("section", ["### Errors", "## Management API"])
def test_codes_that_every_route_may_have_are_listed(section):
    of_every_route = {common.DatabaseUnavailable.code, common.QueryTooSlow.code, "internal_error"}
    assert of_every_route <= listed(section).keys()
