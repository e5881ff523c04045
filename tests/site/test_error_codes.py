"""docs/gateway.md lists the codes of errors that its routes have, each with its status."""

import pytest

from core import errors as common
from core.errors import DomainError
from gateway.errors import GatewayError
from llmring_site import urls
from tests.error_codes import listed

__all__ = ["urls"]  # whose views bring the errors of their apps

# What a bug becomes, and what DRF calls its own (core/errors.py).
OF_NO_CLASS = {"internal_error", "not_found", "method_not_allowed", "not_permitted"}


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
