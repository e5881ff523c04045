"""The routes of logins with a provider. Errors of the callback are pages, as browsers open it."""

from urllib.parse import urlencode

from django.conf import settings
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.views import APIView

from accounts import attempts, audit
from accounts.client_networks import client_network
from accounts.oauth import identities, landing, pending, providers, states
from accounts.oauth.identities import AddressNeeded
from accounts.oauth.providers import Provider
from accounts.people import logins, page_base
from core.errors import DomainError

MAX_CALLBACKS = 60  # in a window from one address
_NAME = OpenApiParameter("provider", str, OpenApiParameter.PATH, enum=["google", "github"])

_FAILURES = {
    400: "the login has expired, or began in another browser",
    409: "the account of the provider is connected already",
    502: "the provider does not answer",
}


def _parameters(*names: str) -> list[OpenApiParameter]:
    return [_NAME, *(OpenApiParameter(name, str) for name in names)]


class _ProviderView(APIView):
    authentication_classes = []
    permission_classes = [AllowAny]

    def provider(self) -> Provider:
        found = providers.configured(self.kwargs["provider"])
        if found is None:
            raise Http404("Provider not found")
        return found


class LoginView(_ProviderView):
    @extend_schema(
        tags=["accounts"],
        summary="Log in with a provider",
        description="Redirects to the provider. `next` is a path of this server to land on; "
        "`link=1` connects the provider with the account that is logged in.",
        parameters=_parameters("next", "link"),
        responses={302: OpenApiResponse(description="To the provider.")},
    )
    def get(self, request, provider):
        found = self.provider()
        session = request._request
        is_link = request.GET.get("link") == "1" and logins.session_user(session) is not None
        target = landing.safe_path(request.GET.getlist("next"))
        state = states.begin(session, found.name, next=target, is_link=is_link)
        response = HttpResponseRedirect(
            found.address(
                state=state.value, challenge=state.challenge, redirect_uri=_redirect_uri(found)
            )
        )
        states.keep(response, state)
        return response


class CallbackView(_ProviderView):
    http_method_names = ["get", "options"]  # Django would answer HEAD with `get`, which logs in

    @extend_schema(
        tags=["accounts"],
        summary="Return from a provider",
        description="Begins a session and redirects to the page that was asked for, or home. A "
        "new account's key is given by `auth/retrieve-api-key`. Failures are pages.",
        parameters=_parameters("code", "state", "error"),
        responses={
            302: OpenApiResponse(description="Logged in, or refused by the person."),
            **{
                status: OpenApiResponse(OpenApiTypes.STR, description=f"A page: {what}.")
                for status, what in _FAILURES.items()
            },
        },
    )
    def get(self, request, provider):
        values = request.GET.getlist("state")
        try:
            response = self._finish(request._request, self.provider(), values)
        except DomainError as error:
            response = page_base.failed(request._request, str(error), status=error.status_code)
        states.forget(response, values)
        return response

    def _finish(self, request, provider: Provider, values: list[str]) -> HttpResponse:
        attempts.take("oauth callback", client_network(request), limit=MAX_CALLBACKS)
        state = states.take(request, provider.name, values)
        if request.GET.getlist("error") == ["access_denied"]:
            return _denied(request, state)
        codes = request.GET.getlist("code")
        if len(codes) != 1 or "error" in request.GET:
            raise providers.ProviderFailed
        profile = providers.profile(
            provider,
            code=codes[0],
            verifier=state.verifier,
            redirect_uri=_redirect_uri(provider),
        )
        target = landing.safe_path([state.next])
        origin = audit.of_request(request)
        if state.is_link:
            if (user := logins.session_user(request)) is None:
                raise states.StateRefused
            identities.link(profile, user, origin)
            return HttpResponseRedirect(target)
        try:
            user = identities.person_of(profile, origin)
        except AddressNeeded:
            response = HttpResponseRedirect(reverse("oauth-address"))
            pending.keep(response, profile)
            return response
        former = states.session_digest(request)
        response = HttpResponseRedirect(target)
        logins.start_session(request, response, user, method=provider.name)
        states.note_former_session(request, former)
        return response


def _denied(request, state: states.State) -> HttpResponse:
    """Redirect a person who denied access at the provider to the page they came from."""
    if state.is_link and logins.session_user(request) is not None:
        return page_base.to_page("account", "denied")
    target = landing.safe_path([state.next])
    query = {"notice": "denied"} | ({} if target == landing.home() else {"next": target})
    return HttpResponseRedirect(f"{reverse('login')}?{urlencode(query)}")


def _redirect_uri(provider: Provider) -> str:
    """Return the registered address, which depends on no header of the request."""
    return f"{settings.PUBLIC_URL}/api/v1/auth/callback/{provider.name}"
