"""The sidebar of people's pages: those of the project, other projects, the account."""

from collections.abc import Collection

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import escape

from accounts.models import Project, User
from accounts.permissions import Action

MAX_OTHERS = 10  # projects to switch to at once; all are on a page of their own
# Title, icon (a Material Symbol), URL name, and the required permission.
_PAGES = [
    ("Home", "dashboard", "project-home", Action.READ),
    ("Calls", "receipt_long", "project-calls", Action.READ),
    ("Keys", "key", "project-keys", Action.MANAGE_KEYS),
    ("Members", "group", "project-members", Action.READ),
    ("Plan and limits", "speed", "project-plan", Action.READ),
    ("Connect your client", "cable", "project-connect", Action.READ),
]


def sidebar(
    request: HttpRequest, project: Project | None, permissions: Collection[str]
) -> list[dict]:
    """Return the groups, in the form of UNFOLD's SIDEBAR."""
    groups = []
    if project and permissions:
        pages = [
            (title, icon, reverse(name, args=[project.id]))
            for title, icon, name, action in _PAGES
            if action in permissions
        ]
        groups.append(_group(request, project.name, pages))
    others = Project.objects.filter(memberships__user=request.user, archived_at=None)
    if project:
        others = others.exclude(id=project.id)
    switch = [
        (other.name, "swap_horiz", reverse("project-home", args=[other.id]))
        for other in others.order_by("-id")[:MAX_OTHERS]
    ]
    fixed = [
        ("All projects", "workspaces", reverse("projects")),
        ("Your account", "manage_accounts", reverse("account")),
    ]
    if request.user.is_staff:
        fixed.append(("Admin", "shield_person", reverse("admin:index")))
    leave = ("Log out", "logout", reverse("logout"))
    return [*groups, _group(request, "Your projects", [*switch, *fixed, leave])]


def account_links(request: HttpRequest) -> list[dict[str, str]]:
    """Return the links of the account menu, in the form of UNFOLD's ACCOUNT.navigation."""
    if request.user is None or not request.user.is_authenticated:
        return []
    return [
        {"title": "Your account", "link": reverse("account")},
        {"title": "Change password", "link": password_address(request.user)},
    ]


def password_address(user: User) -> str:
    """Return the path of the page where the person sets a password.

    It is the admin's for staff, unless they have no password: it asks for the current one.
    """
    is_of_admin = user.is_staff and user.has_usable_password()
    return reverse("admin:password_change" if is_of_admin else "account-password")


def _group(request: HttpRequest, title: str, pages: list[tuple[str, str, str]]) -> dict:
    return {
        "title": title,
        "collapsible": False,
        "items": [
            {
                # unfold's template does not escape titles, which are usually settings.
                "title": escape(name),
                "icon": icon,
                "link": address,
                "active": request.path.rstrip("/") == address.rstrip("/"),
                "has_permission": True,
            }
            for name, icon, address in pages
        ],
    }
