"""The pages of a project's keys: list, create, rotate, revoke."""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.http import Http404, HttpResponse

from accounts import keys
from accounts.models import ApiKey
from accounts.people.page_base import Page
from accounts.permissions import Action, widest_scopes
from accounts.views.keys import represent
from core.compression import keep_uncompressed
from llmring_site.pages.base import ProjectPage, QuestionPage, once
from llmring_site.pages.forms import KeyForm, RotationForm
from usage.key_usage import costs_of_keys

MAX_SHOWN = 500


class KeysPage(ProjectPage, Page):
    """The keys, newest first, and the form for a new one."""

    action = Action.MANAGE_KEYS
    template_name = "llmring_site/pages/keys.html"
    form_class = KeyForm
    title, button = "Keys", "Create the key"

    def get_initial(self):
        scopes = widest_scopes(self.caller.permissions)
        return {**super().get_initial(), "scopes": scopes}

    def get_context_data(self, **kwargs):
        rows = ApiKey.objects.filter(project=self.project).select_related("use")
        shown = represent(list(rows.order_by("-id")[:MAX_SHOWN]), costs_of_keys)
        return {
            **super().get_context_data(**kwargs),
            "keys": [{**key, "cost": Decimal(key["cost_this_month"])} for key in shown],
            "public_url": settings.PUBLIC_URL,
        }

    def carry_out(self, data) -> HttpResponse:
        form = self.form
        with once("This form has made its key already. A key is shown once: if lost, revoke it"):
            grant = keys.Grant(data["name"], data["scopes"], form.expires_at)
            row, text = keys.create_key(self.caller, grant, self.origin, id=data["form_id"])
        return shown_once(self, row, text)

    def form_valid(self, form):
        self.form = form
        return super().form_valid(form)


class KeyPage(QuestionPage):
    """A page about one key."""

    action = Action.MANAGE_KEYS
    back = "project-keys"

    def find(self, *, key_id: str, **path) -> None:
        super().find(**path)
        key = keys.key_of(self.project.id, UUID(key_id))
        if key is None:
            raise Http404("Key not found")
        self.key = key
        self.subject = f"{key.name} ({key.hint}…)" if key.name else f"{key.hint}…"


class RevokePage(KeyPage):
    title, button = "Revoke the key?", "Revoke"
    is_danger = True
    text = "It is refused everywhere within a second, with both of its values, and for good."

    def carry_out(self, data) -> HttpResponse:
        rows = ApiKey.objects.filter(id=self.key.id)
        keys.revoke_keys(rows, self.origin, reason="by request")
        return self.to("project-keys", "revoked")


class RotatePage(KeyPage):
    form_class = RotationForm
    title, button = "Rotate the key", "Give it a new value"
    text = "The key gets a new value, which is shown once. It stays one key, with one sum of costs."

    def carry_out(self, data) -> HttpResponse:
        row, text = keys.rotate_key(
            self.caller,
            self.key,
            self.origin,
            overlap=timedelta(seconds=data["overlap_seconds"]),
            idempotency_key=f"form {data['form_id']}",
        )
        return shown_once(self, row, text)


def shown_once(page: ProjectPage, row: ApiKey, text: str) -> HttpResponse:
    """Return the page that shows a new key. It has no address, and is not compressed."""
    response = page.show(
        "key", title="Your new key", key=row, text=text, public_url=settings.PUBLIC_URL
    )
    keep_uncompressed(response)
    return response
