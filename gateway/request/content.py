"""The body of a request, read as far as it must be before anything is sent.

JSON is read whole; forms pass, or are held where they must be checked first.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any, TypeVar

from django.conf import settings
from rest_framework.exceptions import ParseError

from core import bridge, exact_json, json_writer, parsing, request_checks
from core.edge_request import Request
from core.errors import BodyTooLarge, InvalidInput, body_fault
from gateway import errors
from gateway.protocols.protocol import Body, Endpoint
from gateway.request import forms
from gateway.request.forms import FormFields, PassingForm
from gateway.request.json_splice import with_member

Result = TypeVar("Result")


@dataclass(slots=True)
class Content:
    """The body of a request. `value` is its JSON; `fields` those of a form.

    `is_checked`: what was read of the JSON decides whether it may pass.
    """

    data: bytes | None = None
    value: dict[str, Any] = field(default_factory=dict)
    is_checked: bool = False
    fields: FormFields | None = None
    file: IO[bytes] | None = None
    parts: PassingForm | None = None

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of the call, of a JSON body or of a form."""
        return self.fields.values if self.fields is not None else self.value

    @property
    def size(self) -> int:
        """The bytes that were read of it, and can be examined."""
        return self.file.tell() if self.file is not None else len(self.data or b"")

    def rename_model(self, named: str, model: str) -> None:
        """Replace the model that a JSON body names; leave every other byte as it was sent."""
        if self.value.get("model") == named:
            self.data = with_member(self.data, "model", json_writer.dumps(model))
            self.value = {**self.value, "model": model}

    async def examine(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Return what a function makes of the body; of a large one in a thread."""
        return await bridge.in_thread_if_large(self.size, function, *arguments)

    def close(self) -> None:
        """Give up what was held of it."""
        if self.file is not None:
            self.file.close()


async def read(request: Request, endpoint: Endpoint, *, is_checked: bool) -> Content:
    """Return the body. `is_checked`: what is in it decides whether it may pass.

    Raises GatewayError for what cannot be read, and ClientDisconnected.
    """
    if endpoint.body is Body.NONE or request.method in ("GET", "HEAD", "DELETE"):
        return Content()
    content_type = request.headers.get("Content-Type", "")
    if endpoint.body is Body.FORM and not (content_type and parsing.is_json(content_type)):
        return await _form(request, content_type, is_checked=is_checked)
    data = await _decoded(request)
    if not data and endpoint.is_stateful:
        return Content(data=b"")
    value = await _object(data, unique=is_checked)
    return Content(data=data, value=value, is_checked=is_checked)


async def _decoded(request: Request) -> bytes:
    try:
        return await request.body(limit=settings.GATEWAY_MAX_BODY_BYTES)
    except BodyTooLarge as error:
        raise errors.RequestTooLarge(str(error)) from error
    except (request_checks.MalformedBody, request_checks.MalformedLength) as error:
        raise errors.GatewayError(str(error)) from error


async def _object(data: bytes, *, unique: bool) -> dict[str, Any]:
    try:
        value = await bridge.in_thread_if_large(
            len(data), exact_json.loads, data, unique_members=unique
        )
    except InvalidInput as error:
        raise errors.GatewayError(body_fault(error.issues[0])) from error
    except ParseError as error:
        raise errors.GatewayError("The body is not UTF-8") from error
    if not isinstance(value, dict):
        raise errors.GatewayError("A JSON object is required")
    return value


async def _form(request: Request, content_type: str, *, is_checked: bool) -> Content:
    if request.headers.get("Content-Encoding", "").strip().lower() not in ("", "identity"):
        raise errors.FormCompressed("A form must have no Content-Encoding")
    parts = request.parts(limit=settings.GATEWAY_MAX_BODY_BYTES)
    if not is_checked:
        try:
            fields = FormFields(content_type)
        except errors.GatewayError:
            fields = None  # the upstream's to refuse
        return Content(fields=fields, parts=PassingForm(parts, fields))
    fields = FormFields(content_type)
    try:
        file = await forms.held(parts, fields)
    except BodyTooLarge as error:
        raise errors.RequestTooLarge(str(error)) from error
    return Content(fields=fields, file=file)
