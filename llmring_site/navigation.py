"""The sidebar of the admin.

A model that gets pages in the admin gets an item here.
"""

from django.contrib import admin
from django.contrib.admin.templatetags.admin_urls import admin_urlname
from django.contrib.auth.models import Group
from django.db.models import Model
from django.db.models.options import Options
from django.http import HttpRequest
from django.urls import reverse
from django.utils.text import capfirst

from accounts.models import ApiKey, AuditEvent, Project, Tier, User
from aliases.models import AliasBinding
from conversations.models import Conversation, Message
from core.admin_display import may_view
from gateway.models import CachedAnswer, Call, Token, Upstream, UpstreamKey, Worker
from mcp.models import Prompt, Resource, Server, Tool, ToolExecution
from receipts.models import Receipt, ReceiptKey
from registry_proxy.models import CustomPrice, Refresh, Snapshot
from templates_app.models import ConversationTemplate
from usage.models import UsageLog

# Icon (a Material Symbol), and the model whose list it is.
_GROUPS: list[tuple[str, list[tuple[str, type[Model]]]]] = [
    ("Usage", [("receipt_long", UsageLog)]),
    (
        "Conversations",
        [
            ("forum", Conversation),
            ("chat", Message),
        ],
    ),
    (
        "Receipts",
        [
            ("verified", Receipt),
            ("key_vertical", ReceiptKey),
        ],
    ),
    ("Prompts", [("description", ConversationTemplate)]),
    ("Aliases", [("alternate_email", AliasBinding)]),
    (
        "MCP",
        [
            ("dns", Server),
            ("build", Tool),
            ("play_circle", ToolExecution),
            ("folder", Resource),
            ("chat_bubble", Prompt),
        ],
    ),
    (
        "Registry",
        [
            ("inventory_2", Snapshot),
            ("sell", CustomPrice),
            ("sync", Refresh),
        ],
    ),
    (
        "Gateway",
        [
            ("vpn_key", Token),
            ("hub", Upstream),
            ("lock", UpstreamKey),
            ("pending", Call),
            ("inventory", CachedAnswer),
            ("memory", Worker),
        ],
    ),
    (
        "Projects and keys",
        [
            ("workspaces", Project),
            ("key", ApiKey),
            ("layers", Tier),
            ("policy", AuditEvent),
            ("person", User),
            ("group", Group),
        ],
    ),
]


def sidebar(request: HttpRequest) -> list[dict]:
    """Return the groups as UNFOLD's SIDEBAR expects them, with what the person may see."""
    home = {
        "title": "Dashboard",
        "icon": "dashboard",
        "link": reverse("admin:index"),
        "active": request.path == reverse("admin:index"),
    }
    return [{"items": [home]}, *(_group(request, *group) for group in _GROUPS)]


def _group(request: HttpRequest, title: str, items: list[tuple[str, type[Model]]]) -> dict:
    return {
        "title": title,
        "collapsible": False,
        "items": [
            {"icon": icon, **link} for icon, model in items if (link := _link(request, model._meta))
        ],
    }


def _link(request: HttpRequest, meta: Options) -> dict[str, str] | None:
    """Return the link to a model's list, or to the form that adds a row.

    The latter is for people who may add rows and not view them. None for all others.
    """
    if may_view(request.user, meta.label_lower):
        # The name that the list has as its heading.
        title, view = capfirst(meta.verbose_name_plural), "changelist"
    elif admin.site.get_model_admin(meta.model).has_add_permission(request):
        title, view = f"Add {meta.verbose_name}", "add"
    else:
        return None
    return {"title": title, "link": reverse(admin_urlname(meta, view))}
