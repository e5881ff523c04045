"""The sidebar of the admin, in the order of work.

An app that gets pages of its own gets a group, or an item of one, here.
"""

from django.http import HttpRequest
from django.urls import reverse

# Title, icon (a Material Symbol), and the model whose list it is, as `app.model`.
_GROUPS: list[tuple[str, list[tuple[str, str, str]]]] = [
    ("Usage", [("Logs", "receipt_long", "usage.usagelog")]),
    (
        "Conversations",
        [
            ("Conversations", "forum", "conversations.conversation"),
            ("Messages", "chat", "conversations.message"),
        ],
    ),
    (
        "Receipts",
        [
            ("Receipts", "verified", "receipts.receipt"),
            ("Signing keys", "key_vertical", "receipts.receiptkey"),
        ],
    ),
    ("Prompts", [("Templates", "description", "templates_app.conversationtemplate")]),
    ("Aliases", [("Aliases", "alternate_email", "aliases.aliasbinding")]),
    (
        "MCP",
        [
            ("Servers", "dns", "mcp.server"),
            ("Tools", "build", "mcp.tool"),
            ("Executions", "play_circle", "mcp.toolexecution"),
            ("Resources", "folder", "mcp.resource"),
            ("Prompts of servers", "chat_bubble", "mcp.prompt"),
        ],
    ),
    (
        "Registry",
        [
            ("Snapshots", "inventory_2", "registry_proxy.snapshot"),
            ("Your own prices", "sell", "registry_proxy.customprice"),
            ("Refreshes", "sync", "registry_proxy.refresh"),
        ],
    ),
    (
        "Gateway",
        [
            ("Tokens", "vpn_key", "gateway.token"),
            ("Upstreams", "hub", "gateway.upstream"),
            ("Keys of upstreams", "lock", "gateway.upstreamkey"),
            ("Calls under way", "pending", "gateway.call"),
            ("Cached answers", "inventory", "gateway.cachedanswer"),
            ("Workers", "memory", "gateway.worker"),
        ],
    ),
    (
        "Projects and keys",
        [
            ("Projects", "workspaces", "accounts.project"),
            ("API keys", "key", "accounts.apikey"),
            ("Tiers", "layers", "accounts.tier"),
            ("Audit log", "policy", "accounts.auditevent"),
            ("People", "person", "accounts.user"),
            ("Groups of people", "group", "auth.group"),
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


def _group(request: HttpRequest, title: str, items: list[tuple[str, str, str]]) -> dict:
    return {
        "title": title,
        "collapsible": False,
        "items": [
            {"title": name, "icon": icon, "link": _list_of(label)}
            for name, icon, label in items
            if _may_view(request, label)
        ],
    }


def _list_of(label: str) -> str:
    return reverse(f"admin:{label.replace('.', '_')}_changelist")


def _may_view(request: HttpRequest, label: str) -> bool:
    app, model = label.split(".")
    user = request.user
    return user.has_perm(f"{app}.view_{model}") or user.has_perm(f"{app}.change_{model}")
