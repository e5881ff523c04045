from django.urls import URLPattern, include, path, re_path

from accounts import audit_views, pages, person_views
from accounts.key_views import Costs, KeyViewSet
from accounts.oauth import views as oauth_views
from accounts.project_views import ProjectViewSet
from core.viewsets import Router

_API = {
    "register": person_views.RegisterView,
    "cli/register": person_views.CommandLineRegisterView,
    "login": person_views.LoginView,
    "password-reset": person_views.PasswordResetView,
    "password-reset/confirm": person_views.PasswordResetConfirmView,
    "verify-email": person_views.VerifyEmailView,
    "invitations/accept": person_views.AcceptInvitationView,
    "auth/me": person_views.MeView,
    "auth/retrieve-api-key": person_views.RetrieveKeyView,
    "auth/regenerate-api-key": person_views.RegenerateKeyView,
    "auth/logout": person_views.LogoutView,
    "auth/logout-everywhere": person_views.LogoutEverywhereView,
    "auth/change-password": person_views.ChangePasswordView,
    "auth/send-verification": person_views.SendVerificationView,
    "auth/delete-account": person_views.DeleteAccountView,
    "auth/audit": audit_views.OwnAuditView,
    "audit": audit_views.AuditView,
}
_PAGES = {
    "login": pages.LoginPage,
    "sign-up": pages.SignUpPage,
    "logout": pages.LogoutPage,
    "forgot": pages.ForgotPage,
    "reset": pages.ResetPage,
    "verify": pages.VerifyPage,
    "invitation": pages.InvitationPage,
    "oauth-address": pages.OAuthAddressPage,
    "oauth-confirm": pages.OAuthConfirmPage,
}
_PROVIDER = r"(?P<provider>[a-z]+)"


def urlpatterns(*, costs_of_keys: Costs) -> list[URLPattern]:
    """Return the routes; what keys cost is known to a higher layer."""
    router = Router()
    router.register("projects", ProjectViewSet, basename="projects")
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
