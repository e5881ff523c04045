"""`llm-proxy manage project …` and `llm-proxy manage token …`."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from gateway.cli.client import ManagementClient
from gateway.cli.output import print_json, print_members, print_table
from gateway.masking import masked_token
from gateway.token_limits import ALLOW_LISTS, COUNTED_LIMITS

_PROJECT = {
    "id": "ID",
    "name": "Name",
    "api_key": "API Key",
    "is_active": "Active",
    "created_at": "Created",
    "updated_at": "Updated",
}
_TOKENS = {
    "id": "ID",
    "name": "Name",
    "token": "Token",
    "project_id": "Project",
    "is_active": "Active",
    "expires_at": "Expires",
    "request_count": "Requests",
    "spent_usd": "Spent USD",
}
_TOKEN = {
    **_TOKENS,
    "created_at": "Created",
    "last_used_at": "Last used",
    "max_requests": "Max requests",
    "requests_per_minute": "Requests per minute",
    "budget_usd": "Budget USD",
    "remaining": "Remaining",
    "allowed_models": "Models",
    "allowed_endpoints": "Endpoints",
    "allowed_origins": "Origins",
    "upstream": "Upstream",
}
_ISSUED = {"token": "Token", "obfuscated": "Obfuscated", "id": "ID", "expires_at": "Expires at"}
_LIMITS = ("name", *COUNTED_LIMITS, "upstream", *ALLOW_LISTS)


def client(command: ArgumentParser, options: Namespace) -> ManagementClient:
    """Return the client that the options ask for; without a token the command line is wrong."""
    if not options.management_token:
        command.error("--management-token or the variable MANAGEMENT_TOKEN is required")
    return ManagementClient(options.manage_api_base_url, options.management_token)


def list_projects(api: ManagementClient, options: Namespace) -> None:
    _show_all(api.all("projects", _active_only(options)), _PROJECT, options)


def get_project(api: ManagementClient, options: Namespace) -> None:
    _show(api.call("GET", _path("projects", options)), _PROJECT, options)


def create_project(api: ManagementClient, options: Namespace) -> None:
    body = _sent(options, "name", "api_key")
    _show(api.call("POST", "projects", body=body), _PROJECT, options)


def update_project(api: ManagementClient, options: Namespace) -> None:
    body = _sent(options, "name", "api_key", "is_active")
    _show(api.call("PATCH", _path("projects", options), body=body), _PROJECT, options)


def delete_project(api: ManagementClient, options: Namespace) -> None:
    api.call("DELETE", _path("projects", options))
    _report({"id": options.id, "deleted": True}, f"Project {options.id} deleted", options)


def revoke_tokens(api: ManagementClient, options: Namespace) -> None:
    result = api.call("POST", f"{_path('projects', options)}/tokens/revoke")
    _report(
        result, f"{result['revoked_count']} of {result['total_tokens']} tokens revoked", options
    )


def generate_token(api: ManagementClient, options: Namespace) -> None:
    body = {"project_id": options.project_id, **options.duration, **_sent(options, *_LIMITS)}
    token = api.call("POST", "tokens", body=body)
    if options.json:
        print_json(token)
        return
    shown = {
        **token,
        "obfuscated": masked_token(token["token"]),
        "expires_at": token["expires_at"] or "never",
    }
    print_members(shown, _ISSUED)
    print("The token is not shown again.", file=sys.stderr)


def list_tokens(api: ManagementClient, options: Namespace) -> None:
    query = {**_active_only(options), **_sent(options, "project_id")}
    _show_all(api.all("tokens", query), _TOKENS, options)


def get_token(api: ManagementClient, options: Namespace) -> None:
    _show(api.call("GET", _path("tokens", options)), _TOKEN, options)


def update_token(api: ManagementClient, options: Namespace) -> None:
    body = _sent(options, *_LIMITS, "is_active")
    _show(api.call("PATCH", _path("tokens", options), body=body), _TOKEN, options)


def revoke_token(api: ManagementClient, options: Namespace) -> None:
    token = api.call("GET", _path("tokens", options))  # whose id may be printed
    api.call("DELETE", f"tokens/{token['id']}")
    _report({"id": token["id"], "revoked": True}, f"Token {token['id']} revoked", options)


def purge_cache(api: ManagementClient, options: Namespace) -> None:
    result = api.call("POST", "cache/purge", body=_sent(options, "method", "url", "prefix"))
    count = int(result["deleted"])
    what = f"{count} cached answers" if options.prefix else "The cached answers were"
    _report(result, f"{what} removed" if count else "No answer was cached", options)


def _path(resource: str, options: Namespace) -> str:
    return f"{resource}/{quote(options.id, safe='')}"


def _sent(options: Namespace, *names: str) -> dict[str, Any]:
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def _active_only(options: Namespace) -> dict[str, str]:
    return {"active_only": "true"} if options.active_only else {}


def _show(row: Mapping[str, Any], columns: Mapping[str, str], options: Namespace) -> None:
    print_json(row) if options.json else print_members(row, columns)


def _show_all(rows: list, columns: Mapping[str, str], options: Namespace) -> None:
    print_json(rows) if options.json else print_table(rows, columns)


def _report(result: Mapping[str, Any], sentence: str, options: Namespace) -> None:
    print_json(result) if options.json else print(sentence)
