"""Each example of the management API is what its schema takes or shows."""

import pytest
from pydantic import BaseModel

from gateway.schemas import audit, projects, response_cache, tokens


def _examples():
    models = {
        model
        for module in (audit, projects, response_cache, tokens)
        for model in vars(module).values()
        if isinstance(model, type) and issubclass(model, BaseModel)
    }
    for model in sorted(models, key=lambda model: model.__name__):
        extra = model.model_config.get("json_schema_extra") or {}
        for number, example in enumerate(extra.get("examples", [])):
            yield pytest.param(model, example, id=f"{model.__name__} {number}")


EXAMPLES = [*_examples()]


@pytest.mark.parametrize(("model", "example"), EXAMPLES)
def test_example_is_valid(model, example):
    by_source = {
        field.validation_alias: example[name]
        for name, field in model.model_fields.items()
        if isinstance(field.validation_alias, str) and name in example
    }
    assert model.model_validate({**by_source, **example})


def test_there_are_examples_of_every_body():
    assert len(EXAMPLES) >= 10
