"""The pages of people and of their projects. Each is served with and without a trailing slash."""

from django.urls import re_path

from llmring_site.pages import account, home, keys, members, plan, projects

_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_KEY = rf"keys/(?P<key_id>{_ID})"
_MEMBER = rf"members/(?P<user_id>{_ID})"
_INVITATION = rf"invitations/(?P<invitation_id>{_ID})"
_OF_ACCOUNT = {
    "verification": ("account-verification", account.VerificationPage),
    "email": ("account-email", account.EmailPage),
    "password": ("account-password", account.PasswordPage),
    "logout-everywhere": ("account-logout-everywhere", account.LogoutEverywherePage),
    rf"identities/(?P<identity_id>{_ID})/disconnect": (
        "account-disconnect",
        account.DisconnectPage,
    ),
    "delete": ("account-delete", account.DeletePage),
}
_OF_PROJECT = {
    "calls": ("project-calls", home.CallsPage),
    "latency": ("project-latency", home.LatencyPage),
    "keys": ("project-keys", keys.KeysPage),
    f"{_KEY}/revoke": ("project-key-revoke", keys.RevokePage),
    f"{_KEY}/rotate": ("project-key-rotate", keys.RotatePage),
    "members": ("project-members", members.MembersPage),
    f"{_MEMBER}/role": ("project-member-role", members.RolePage),
    f"{_MEMBER}/remove": ("project-member-remove", members.RemovePage),
    f"{_MEMBER}/hand-over": ("project-hand-over", members.HandOverPage),
    f"{_INVITATION}/withdraw": ("project-invitation-withdraw", members.WithdrawPage),
    f"{_INVITATION}/resend": ("project-invitation-resend", members.ResendPage),
    "plan": ("project-plan", plan.PlanPage),
    "connect": ("project-connect", plan.ConnectPage),
    "rename": ("project-rename", projects.RenamePage),
    "archive": ("project-archive", projects.ArchivePage),
}

urlpatterns = [
    re_path(r"^account/?$", account.AccountPage.as_view(), name="account"),
    *(
        re_path(rf"^account/{path}/?$", view.as_view(), name=name)
        for path, (name, view) in _OF_ACCOUNT.items()
    ),
    re_path(r"^projects/?$", projects.ProjectsPage.as_view(), name="projects"),
    re_path(rf"^projects/(?P<project_id>{_ID})/?$", home.HomePage.as_view(), name="project-home"),
    *(
        re_path(rf"^projects/(?P<project_id>{_ID})/{path}/?$", view.as_view(), name=name)
        for path, (name, view) in _OF_PROJECT.items()
    ),
]
