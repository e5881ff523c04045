"""Tokens, upstreams and their keys, calls in progress, and workers with their breakers."""

from datetime import timedelta

from django.conf import settings
from django.contrib import admin
from django.db import transaction
from django.template.response import TemplateResponse
from django.utils import timezone

from accounts import audit
from accounts.admin.audited import AuditedAdmin
from accounts.admin.links import OwnerLinks
from accounts.admin.once import OnceAdmin, form_id
from accounts.admin.project_field import ProjectField
from accounts.admin.state_filter import StateFilter
from core.admin import ReadOnlyAdmin
from core.admin_display import pretty_json
from core.compression import keep_uncompressed
from core.confirmed_actions import ConfirmedActions
from core.json_writer import plain
from core.number_formats import utc
from gateway import reservations, tokens
from gateway.admin_forms import TokenForm, UpstreamForm, UpstreamKeyForm
from gateway.models import CachedAnswer, Call, CallState, Token, Upstream, UpstreamKey, Worker
from gateway.worker import DEAD_SECONDS, IDLE_SECONDS


@admin.register(Token)
class TokenAdmin(OnceAdmin, ConfirmedActions, AuditedAdmin):
    form = TokenForm
    list_display = [
        *("name", "hint", "project", "state", "expires_at"),
        *("requests", "spent", "last_used_at"),
    ]
    list_select_related = ["project", "allowance"]
    list_filter = [StateFilter]
    search_fields = ["name", "hint", "id", "project__name"]
    autocomplete_fields = ["project"]
    actions = ["revoke"]
    _made = ["hint", "state", "requests", "spent", "reserved", "last_used_at"]
    readonly_fields = [*_made, "created_at", "revoked_at", "id"]
    fieldsets = [
        (None, {"fields": ["project", "name", "expires_at"]}),
        ("Limits", {"fields": ["max_requests", "requests_per_minute", "budget_usd"]}),
        (
            "Allowed",
            {"fields": ["allowed_models", "allowed_endpoints", "allowed_origins", "upstream"]},
        ),
        ("Use", {"fields": [*_made, "created_at", "revoked_at", "id"]}),
    ]

    def get_fieldsets(self, request, obj=None):
        return self.fieldsets if obj else self.fieldsets[:-1]

    def get_readonly_fields(self, request, obj=None):
        return [*self.readonly_fields, *(["project"] if obj else [])]

    def has_delete_permission(self, request, obj=None) -> bool:
        # Rows of the ledger name their token: it is revoked, not deleted.
        return False

    def subject(self, row: Token) -> dict:
        return {"project_id": row.project_id, "token_id": row.id}

    def save_model(self, request, obj, form, change) -> None:
        limits = {**form.limits(), "expires_at": form.cleaned_data["expires_at"]}
        if change:
            tokens.change(obj, **limits)
            self.record(request, "update", obj, fields=form.changed_data)
            return
        row, request.new_token = tokens.issue(obj.project, id=form_id(request), **limits)
        obj.__dict__.update(row.__dict__)
        self.record(request, "create", obj, name=row.name)

    def response_add(self, request, obj, post_url_continue=None):
        """Show the token on the reply itself: messages travel in a cookie that anybody can read."""
        line = (
            f"curl {settings.PUBLIC_URL}/v1/chat/completions "
            f"-H 'Authorization: Bearer {request.new_token}' -H 'Content-Type: application/json' "
            """-d '{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}'"""
        )
        context = {
            **self.admin_site.each_context(request),
            "title": "A new token",
            "may_view": self.has_view_permission(request),
            "token": obj,
            "shown": [("new-token", request.new_token), ("curl-line", line)],
        }
        response = TemplateResponse(request, "gateway/new_token.html", context)
        keep_uncompressed(response)
        return response

    @admin.action(description="Revoke the selected tokens", permissions=["change"])
    def revoke(self, request, queryset):
        @transaction.atomic
        def revoke(row: Token) -> bool:
            was_active = bool(Token.objects.filter(pk=row.pk).revoke())
            if was_active:
                self.record(request, "revoke", row)
            return was_active

        question = "They are refused everywhere within a second:"
        return self.confirmed(
            request, queryset, question=question, action=revoke, noun="token", done="revoked"
        )

    @admin.display(description="requests")
    def requests(self, token: Token) -> str:
        most = token.allowance.max_requests
        made = str(token.allowance.requests)
        return made if most is None else f"{made} of {most}"

    @admin.display(description="spent (USD)")
    def spent(self, token: Token) -> str:
        most = token.allowance.budget_usd
        spent = plain(token.allowance.spent_usd)
        return spent if most is None else f"{spent} of {plain(most)}"

    @admin.display(description="reserved (USD)")
    def reserved(self, token: Token) -> str:
        return plain(token.allowance.reserved_usd)

    @admin.display(description="last used")
    def last_used_at(self, token: Token) -> str:
        return utc(token.allowance.last_used_at)


@admin.register(Upstream)
class UpstreamAdmin(AuditedAdmin):
    form = UpstreamForm
    list_display = ["name", "base_url", "is_enabled", "has_api_key", "created_at"]
    search_fields = ["name", "base_url"]
    fields = ["name", "base_url", "new_api_key", "remove_api_key", "options", "is_enabled"]

    def subject(self, row: Upstream) -> dict:
        return {"name": row.name}

    @admin.display(description="API key", boolean=True)
    def has_api_key(self, upstream: Upstream) -> bool:
        return upstream.api_key is not None


@admin.register(UpstreamKey)
class UpstreamKeyAdmin(ProjectField, AuditedAdmin):
    form = UpstreamKeyForm
    list_display = ["project", "upstream", "hint", "created_at"]
    list_select_related = ["project"]
    search_fields = ["upstream", "project__name"]
    autocomplete_fields = ["project"]
    fields = ["project", "upstream", "new_api_key", "hint"]
    readonly_fields = ["hint"]

    def subject(self, row: UpstreamKey) -> dict:
        return {"project_id": row.project_id, "upstream": row.upstream}


@admin.register(Call)
class CallAdmin(OwnerLinks, ConfirmedActions, ReadOnlyAdmin):
    """Calls that hold a reservation: in progress, or of unknown cost."""

    list_display = [
        *("started_at", "state", "upstream", "reserved"),
        *("project", "token_id", "worker_id", "id"),
    ]
    list_filter = ["state"]
    ordering = ["-id"]
    search_ids = ("id", "project_id", "token_id", "worker_id")
    exclude = ["row", "reserved_usd", "project_id"]
    readonly_fields = ["reserved", "project", "shown_row"]
    actions = ["release"]

    @admin.display(description="reserved (USD)", ordering="reserved_usd")
    def reserved(self, call: Call) -> str:
        return plain(call.reserved_usd)

    def has_release_permission(self, request) -> bool:
        return request.user.has_perm("gateway.change_call")

    @admin.action(description="Release the reservations", permissions=["release"])
    def release(self, request, queryset):
        @transaction.atomic
        def release(call: Call) -> bool:
            is_released = reservations.release(call)
            if is_released:
                audit.record(
                    "call.release",
                    audit.of_request(request),
                    project_id=call.project_id,
                    token_id=call.token_id,
                    call_id=str(call.id),
                    reserved_usd=str(call.reserved_usd),
                )
            return is_released

        unknown = queryset.filter(state=CallState.UNKNOWN)
        question = (
            "Their costs are unknown, and their tokens' budgets hold the reservations. To "
            "release them is to say that they cost nothing. Calls in progress stay:"
        )
        return self.confirmed(
            request, unknown, question=question, action=release, noun="reservation", done="released"
        )

    @admin.display(description="row")
    def shown_row(self, call: Call) -> str:
        return pretty_json(call.row)


@admin.register(CachedAnswer)
class CachedAnswerAdmin(OwnerLinks, ConfirmedActions, ReadOnlyAdmin):
    """Cached answers, and their removal."""

    list_display = ["stored_at", "method", "url", "project", "upstream", "size", "expires_at"]
    list_filter = ["method", "upstream"]
    search_ids = ("id", "project_id")
    search_texts = ("url",)
    ordering = ["-stored_at"]
    fields = [
        *("method", "url", "project", "upstream", "status", "shown_headers", "varies_by"),
        *("size", "age", "stored_at", "expires_at"),
    ]
    readonly_fields = ["project", "shown_headers"]
    actions = ["purge"]

    def has_purge_permission(self, request) -> bool:
        return request.user.has_perm("gateway.delete_cachedanswer")

    @admin.action(description="Remove the selected answers", permissions=["purge"])
    def purge(self, request, queryset):
        @transaction.atomic
        def purge(row: CachedAnswer) -> bool:
            what = {"method": row.method, "url": row.url}
            audit.record(
                "cache.purge",
                audit.of_request(request),
                project_id=row.project_id,
                purged=what,
            )
            return bool(row.delete()[0])

        question = "The next requests for them are calls again:"
        return self.confirmed(
            request, queryset, question=question, action=purge, noun="answer", done="removed"
        )

    @admin.display(description="headers")
    def shown_headers(self, row: CachedAnswer) -> str:
        return pretty_json(dict(row.headers))


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    list_display = [
        *("host", "process_id", "is_alive", "seen_at"),
        *("in_flight", "open_breakers", "started_at"),
    ]
    empty_note = (
        "A worker is listed from the first call of the gateway that it relays until "
        f"{IDLE_SECONDS} seconds after the last."
    )
    exclude = ["status"]
    readonly_fields = ["is_alive", "in_flight", "open_breakers", "shown_status"]

    @admin.display(description="alive", boolean=True)
    def is_alive(self, worker: Worker) -> bool:
        return timezone.now() - worker.seen_at < timedelta(seconds=DEAD_SECONDS)

    @admin.display(description="calls in progress")
    def in_flight(self, worker: Worker) -> int:
        return sum(state.get("in_flight", 0) for state in worker.upstreams.values())

    @admin.display(description="tripped breakers")
    def open_breakers(self, worker: Worker) -> str:
        states = {name: state.get("breaker") for name, state in worker.upstreams.items()}
        shown = [f"{name}: {state}" for name, state in states.items() if state != "closed"]
        return ", ".join(shown) or "-"

    @admin.display(description="upstreams")
    def shown_status(self, worker: Worker) -> str:
        return pretty_json(worker.upstreams)
