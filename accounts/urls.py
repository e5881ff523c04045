from django.urls import URLPattern, include, path, re_path

from accounts.oauth import views as oauth_views
from accounts.people import pages
from accounts.views import account, audit, entry, projects
from accounts.views.keys import Costs, KeyViewSet
from core.viewsets import Router

_API = {
    "register": entry.RegisterView,
    "cli/register": entry.CommandLineRegisterView,
    "login": entry.LoginView,
    "password-reset": entry.PasswordResetView,
    "password-reset/confirm": entry.PasswordResetConfirmView,
    "verify-email": entry.VerifyEmailView,
    "invitations/accept": projects.AcceptInvitationView,
    "auth/me": account.MeView,
    "auth/retrieve-api-key": account.RetrieveKeyView,
    "auth/regenerate-api-key": account.RegenerateKeyView,
    "auth/logout": account.LogoutView,
    "auth/logout-everywhere": account.LogoutEverywhereView,
    "auth/change-password": account.ChangePasswordView,
    "auth/change-email": account.ChangeEmailView,
    "auth/change-email/confirm": entry.ChangeEmailConfirmView,
    "auth/send-verification": account.SendVerificationView,
    "auth/delete-account": account.DeleteAccountView,
    "auth/audit": audit.OwnAuditView,
    "audit": audit.AuditView,
}
_PAGES = {
    "login": pages.LoginPage,
    "sign-up": pages.SignUpPage,
    "logout": pages.LogoutPage,
    "forgot": pages.ForgotPage,
    "reset": pages.ResetPage,
    "verify": pages.VerifyPage,
    "confirm-email": pages.ConfirmEmailPage,
    "invitation": pages.InvitationPage,
    "oauth-address": pages.OAuthAddressPage,
    "oauth-confirm": pages.OAuthConfirmPage,
}
_PROVIDER = r"(?P<provider>[a-z]+)"


def urlpatterns(*, costs_of_keys: Costs) -> list[URLPattern]:
    """Return the routes. `costs_of_keys` is passed in, as a higher layer knows the costs."""
    router = Router()
    router.register("projects", projects.ProjectViewSet, basename="projects")
    keys = Router()
    keys.register("keys", _bound(costs_of_keys), basename="keys")
    api = [
        *(
            re_path(rf"^{name}/?$", view.as_view(), name=f"api-{name}")
            for name, view in _API.items()
        ),
        re_path(
            rf"^auth/login/{_PROVIDER}/?$", oauth_views.LoginView.as_view(), name="oauth-login"
        ),
        re_path(
            rf"^auth/callback/{_PROVIDER}/?$",
            oauth_views.CallbackView.as_view(),
            name="oauth-callback",
        ),
        *router.urls,
        *keys.urls,
    ]
    return [
        path("api/v1/", include(api)),
        *(re_path(rf"^{name}/?$", view.as_view(), name=name) for name, view in _PAGES.items()),
    ]


def _bound(costs_of_keys: Costs) -> type[KeyViewSet]:
    # A router takes a class, not the view that as_view() would bind.
    return type("KeyViewSet", (KeyViewSet,), {"costs_of_keys": staticmethod(costs_of_keys)})
