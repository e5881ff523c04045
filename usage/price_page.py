"""Setting the price of an unpriced model: what it would change is shown before it is saved."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Min, Q
from django.http import HttpRequest
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode

from accounts import audit
from accounts.models import Project
from core.database.timeouts import unless_too_slow
from core.number_formats import counted
from core.scoping import person_as_author
from registry_proxy import custom_prices, pricing
from registry_proxy.models import CustomPrice
from usage import repricing
from usage.models import DailyUsage, UsageLog
from usage.price_form import PriceForm
from usage.repricing import Repriced
from usage.windows import Window

MAX_REPRICED = 1_000  # logs that one request prices again
_SHOWN = 20


@dataclass(slots=True)
class Preview:
    """What a price would change: the logs that would get a cost, and their sum."""

    changed: list[Repriced] = field(default_factory=list)
    still_unpriced: int = 0
    reasons: set[str] = field(default_factory=set)
    has_more: bool = False
    is_given_up: bool = False

    @property
    def total(self) -> Decimal:
        return sum((change.cost.amount for change in self.changed), Decimal(0))

    @property
    def is_partial(self) -> bool:
        return self.has_more or self.is_given_up

    @property
    def shown(self) -> list[Repriced]:
        return self.changed[:_SHOWN]


def may_set(user) -> bool:
    """Return whether the user may set prices."""
    return user.has_perm("registry_proxy.add_customprice")


def address(provider: str, model: str, project: Project | None = None) -> str:
    """Return the URL of the page that sets the price of a model.

    Demo data has prices of its own: only those that are set for its project apply to it.
    """
    query = {"provider": provider, "model": model}
    if project and project.is_demo:
        query["project"] = str(project.id)
    return f"{reverse('admin:usage_usagelog_price')}?{urlencode(query)}"


def link(log: UsageLog) -> str:
    """Return a link to the page that sets the price of a log's model."""
    demo = Project.objects.demo().filter(id=log.project_id).first()
    url = address(log.provider, log.model, demo)
    return format_html('<a class="text-primary-600 underline" href="{}">Set a price</a>', url)


def respond(request: HttpRequest, model_admin):
    """Show the form, then what the price would change; save it at the second confirmation."""
    if not (may_set(request.user) and model_admin.has_view_permission(request)):
        raise PermissionDenied
    is_sent = request.method == "POST"
    form = PriceForm(request.POST if is_sent else None, initial=_initial(request))
    preview = None
    if is_sent and form.is_valid():
        pricing.load()
        price = form.price()
        if "save" in request.POST:
            try:
                return _save(request, model_admin, price, form.cleaned_data["reprice"])
            except (ValidationError, custom_prices.PriceOverlap) as error:
                form.add_error(None, str(error))
        preview = _preview(price)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": "Set a price",
        "form": form,
        "preview": preview,
        "may_correct": model_admin.has_correct_permission(request),
        "limit": MAX_REPRICED,
    }
    return TemplateResponse(request, "usage/set_price.html", context)


def _initial(request: HttpRequest) -> dict:
    sent = {name: text.replace("\x00", "") for name, text in request.GET.items()}
    names = {name: sent.get(name, "") for name in ("provider", "model")}
    project = Project.objects.named(sent.get("project", ""))
    days = DailyUsage.objects.filter(_of(project), unpriced_requests__gt=0, **names)
    first = days.aggregate(day=Min("day"))["day"] or datetime.now(UTC).date()
    return {**names, "project": project, "valid_from": first.isoformat(), "reprice": True}


def _of(project: Project | None) -> Q:
    """Return the condition of rows of a project, or of all real ones."""
    chosen = [project.id] if project else Project.objects.real().values("id")
    return Q(project_id__in=chosen)


def _unpriced(price: CustomPrice):
    """Yield the logs without a price that the price applies to, project by project."""
    window = Window(price.valid_from, price.valid_to or datetime.now(UTC) + timedelta(days=2))
    project = Project.objects.filter(id=price.project_id).first() if price.project_id else None
    days = _of(project) & Q(day__gte=window.start.date(), unpriced_requests__gt=0)
    names = (
        DailyUsage.objects.filter(days).values_list("project_id", "provider", "model").distinct()
    )
    for project_id, provider, model in names.order_by("project_id", "provider", "model"):
        if custom_prices.applies(price, provider, model):
            logs = repricing.repriceable_logs(project_id, window, unpriced=True)
            yield logs.filter(provider=provider, model=model)


def _preview(price: CustomPrice) -> Preview:
    """Return what the price would change. Nothing is stored."""
    return unless_too_slow(lambda: _changes(price)) or Preview(is_given_up=True)


def _changes(price: CustomPrice) -> Preview:
    preview = Preview()
    with custom_prices.supposing(price):
        for logs in _unpriced(price):
            for repriced in repricing.reprice(logs):
                if len(preview.changed) + preview.still_unpriced >= MAX_REPRICED:
                    preview.has_more = True
                    return preview
                if repriced.cost.amount is None:
                    preview.still_unpriced += 1
                    preview.reasons.add(repriced.cost.unpriced_reason)
                else:
                    preview.changed.append(repriced)
    return preview


def _save(request: HttpRequest, model_admin, price: CustomPrice, reprice: bool):
    preview = _preview(price) if reprice else Preview()
    custom_prices.save(price, origin=audit.of_request(request))
    model_admin.log_addition(request, price, "Set a price")
    messages.success(request, f"The price of {price.provider}:{price.model} is set.")
    if model_admin.has_correct_permission(request):
        author = person_as_author(request.user.pk)
        corrected = sum(repricing.correct(change, author=author) for change in preview.changed)
        if corrected:
            messages.success(request, f"{counted(corrected, 'log')} priced again.")
        if preview.is_partial:
            command = f"manage.py repricelogs --unpriced --from {price.valid_from:%Y-%m-%d}"
            messages.warning(request, f"There may be more of them: {command} prices them all.")
    return redirect(f"{reverse('admin:usage_usagelog_changelist')}?{_calls_of(price)}")


def _calls_of(price: CustomPrice) -> str:
    """Return the query of the log list for what the price applies to; a pattern is no filter."""
    chosen = {"provider": price.provider, "model": price.model, "project_id": price.project_id}
    exact = {name: value for name, value in chosen.items() if value and "*" not in str(value)}
    return urlencode({f"{name}__exact": value for name, value in exact.items()})
