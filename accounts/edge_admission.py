"""The adapters of accounts/admission.py for the edge (core/edge.py) and the gateway."""

from collections.abc import Mapping

from django.utils import timezone

from accounts import admission
from accounts.limits import LimitExceeded, log_quotas, request_limits
from accounts.permissions import WRITES, NotPermitted, action_of_method
from core import bridge
from core.edge_request import Request
from core.reply_headers import note
from core.scoping import Caller


def presents_key(headers: Mapping[str, str]) -> bool:
    """Return whether the edge can admit a request; one without a key may have a session."""
    return admission.presented_key(headers) != ("", "")


async def admit_request(request: Request) -> Caller | None:
    """Return the caller of a request to the edge that presents a key, and count the request.

    None leaves a refusal to the view, which looks for the row first. Raises the errors of
    `admission.authenticate` and `admission.admit`, and LimitExceeded.
    """
    action = request.route.access or action_of_method(request.method)
    caller = admission.cached_caller(request.headers)
    if caller is None:
        try:
            caller = await bridge.in_thread(admission.authenticate, request.headers)
        except admission.InvalidKey:
            await count_public(request)
            raise
        if isinstance(caller, admission.UnseenKey) and action in WRITES:
            caller = await bridge.in_thread(admission.admit, caller, action, request.client_address)
    try:
        await count_request(request, caller)
    except LimitExceeded:
        if request.stores_log:
            await bridge.in_thread(log_quotas.check, caller, timezone.now())  # that lasts longer
        raise
    try:
        return admission.admit(caller, action)
    except NotPermitted:
        if request.route.is_fixed:
            raise
        return None


async def count_public(request: Request) -> None:
    """Count an anonymous request to the edge. Raises LimitExceeded."""
    await count_request(request, None)


async def count_request(request: Request, caller: Caller | None) -> None:
    """Count a request to the edge for its project or, without a caller, for its address.

    Raises LimitExceeded.
    """
    bucket = admission.bucket_of(caller, request.client_address)
    if bucket and (status := await request_limits.take(bucket)):
        note(request, status.headers)
