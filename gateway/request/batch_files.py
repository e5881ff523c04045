"""Batch files: the requests in their lines ask for models, long before anything runs."""

import re
from collections.abc import Callable
from typing import Any

from rest_framework.exceptions import ParseError

from core import exact_json
from core.errors import InvalidInput, body_fault
from gateway import errors
from gateway.request import forms, model_rules
from gateway.request.content import Content

# OpenAI's other purposes: no line of such a file is a request.
_HARMLESS = ("assistants", "evals", "fine-tune", "user_data", "vision")
# The address of an endpoint that names no model, as Azure's of deployments do and queries may.
_ENDPOINT = re.compile(r"(?!.*/(deployments|engines|models)/)(/v1)?(/[a-z_]+)+/?")


def check_upload(content: Content, check_model: Callable[[Any], None], *, is_whole: bool) -> None:
    """Raise ModelNotAllowed for a batch file with a model that is not allowed.

    `check_model` raises it. `is_whole`: the upload has the file itself. Raises GatewayError for
    lines that are not requests.
    """
    purposes = _purposes(content.params)
    file = content.file if is_whole else None
    if all(purpose in _HARMLESS for purpose in purposes) and (purposes or file is None):
        return
    if file is None:
        raise errors.ModelNotAllowed(
            "The models in a batch file can be checked only where it is uploaded as one file",
            param="purpose",
        )
    for number, line in enumerate(forms.file_lines(file, content.fields), 1):
        if line.strip():
            _check_line(line, number, check_model)


def _purposes(params: dict[str, Any]) -> list[Any]:
    """Return every purpose that one server or another may read."""
    purposes = []
    for name, value in params.items():
        if "purpose" in name.casefold():
            purposes += value if isinstance(value, list) else [value]
    return purposes


def _check_line(line: bytes, number: int, check_model: Callable[[Any], None]) -> None:
    try:
        request = exact_json.loads(line, unique_members=True)
    except InvalidInput as error:
        fault = body_fault(error.issues[0]) or str(error)
        reason = fault.removeprefix("The body is ")
        raise errors.GatewayError(f"Line {number} is {reason}") from error
    except ParseError as error:
        raise errors.GatewayError(f"Line {number} is not UTF-8") from error
    if not isinstance(request, dict):
        raise errors.GatewayError(f"Line {number} is not a JSON object")
    # Servers written in Go take the names of members in any case.
    for url in (value for name, value in request.items() if name.casefold() == "url"):
        if not (isinstance(url, str) and _ENDPOINT.fullmatch(url)):
            reason = f"Line {number} has a url that is not the plain path of an endpoint"
            raise errors.ModelNotAllowed(reason, param="url")
    body = request.get("body")
    check_model(body.get("model") if isinstance(body, dict) else None)
    for name in model_rules.named_in_body(request):
        check_model(name)
