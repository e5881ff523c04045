"""Limits anonymous requests: those to views that need no key."""

from django.http import HttpRequest, HttpResponse

from accounts import admission
from accounts.limits import request_limits
from core.errors import DATABASE_AWAY, DatabaseUnavailable, DomainError
from core.middleware import refusal
from core.reply_headers import note


class PublicLimitMiddleware:
    """Counts requests to public views for their address; the edge has counted its own.

    A view with `is_limited = False`, which reports the server's state, is never refused.
    """

    def __init__(self, get_response) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest):
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view, args, kwargs) -> HttpResponse | None:
        view_class = getattr(view, "cls", None)
        is_public = view_class and not view.initkwargs.get(
            "authentication_classes", view_class.authentication_classes
        )
        if (
            not is_public
            or not getattr(view_class, "is_limited", True)
            or request.method == "OPTIONS"
            or "llmring.noted_headers" in request.META
        ):
            return None
        try:
            bucket = admission.bucket_of(None, request.META.get("REMOTE_ADDR", ""))
            if bucket and (status := request_limits.take_in_thread(bucket)):
                note(request, status.headers)
        except DomainError as error:
            return refusal(error, request.path_info)
        except DATABASE_AWAY:
            return refusal(DatabaseUnavailable(), request.path_info)
        return None
