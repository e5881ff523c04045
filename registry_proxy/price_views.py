"""A project's own prices, and those of the operator that hold for it.

Source: docs/http-contract.md, section "Cost".
"""

from collections.abc import Mapping

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db.models import Q
from django.http import Http404
from django.utils import timezone
from rest_framework.response import Response

from accounts import audit
from core.errors import DomainError, InvalidInput, issue
from core.idempotency import IDEMPOTENCY_KEY, idempotent
from core.viewsets import ListMixin, RetrieveMixin, ScopedModelViewSet, page_query
from registry_proxy import custom_prices
from registry_proxy.models import CustomPrice
from registry_proxy.price_schemas import NewPrice, Price


class GlobalPrice(DomainError):
    status_code = 403
    code = "global_price"

    def __init__(self) -> None:
        super().__init__("Prices of all projects are set by the operator")


def _invalid(messages: Mapping[str, list[str]]) -> InvalidInput:
    """Return the refusal of a price, with the messages about each member."""
    places = {name: ["body"] if name == NON_FIELD_ERRORS else ["body", name] for name in messages}
    return InvalidInput(
        [
            issue("value_error", places[name], text, None)
            for name, texts in messages.items()
            for text in texts
        ]
    )


class PriceViewSet(ListMixin, RetrieveMixin, ScopedModelViewSet):
    queryset = CustomPrice.objects.all()
    lookup_url_kwarg = "price_id"
    not_found = "Price not found"
    tags = ["usage"]
    reply = Price
    bodies = {"create": NewPrice}
    headers = {"create": [IDEMPOTENCY_KEY]}
    queries = {"list": page_query(default=100, maximum=1000)}

    def get_queryset(self):
        return self.queryset.filter(Q(project_id=self.request.auth.project_id) | Q(project_id=None))

    def get_object(self):
        text = self.kwargs["price_id"]
        is_id = text.isascii() and text.isdigit() and len(text) < 10
        price = self.get_queryset().filter(pk=int(text)).first() if is_id else None
        if price is None:
            raise Http404(self.not_found)
        return price

    def list(self, request):
        """List your own prices and the operator's, past ones included"""
        return super().list(request)

    def retrieve(self, request, price_id):
        """Get a price"""
        return super().retrieve(request)

    @idempotent
    def create(self, request):
        """Set a price of your own

        It applies to calls made from `valid_from` on. `manage.py repricelogs` applies it
        to calls that are already logged.
        """
        members = self.body.model_dump(exclude={"prices", "replace"}, exclude_none=True)
        stated = {name: str(amount) for name, amount in (self.body.prices or {}).items()}
        try:
            amounts = custom_prices.parse_amounts(stated)
        except ValidationError as error:
            raise _invalid({"prices": error.messages}) from None
        project_id = request.auth.project_id
        try:
            # Locked here, so that a default `valid_from` is the time at which the lock is held.
            with custom_prices.changing(project_id):
                price = custom_prices.save(
                    CustomPrice(**members, prices=amounts, project_id=project_id),
                    replace=bool(self.body.replace),
                    origin=audit.of_request(request),
                )
        except ValidationError as error:
            raise _invalid(error.message_dict) from None
        return Response(self.represent(price))

    def destroy(self, request, price_id):
        """End one of your prices

        It applies until now; calls keep their cost. A price that has not begun is deleted.
        """
        price = self.get_object()
        if price.project_id is None:
            raise GlobalPrice
        # Locked here, so that "now" is the time at which the lock is held.
        with custom_prices.changing(price.project_id):
            ended = custom_prices.end(price, at=timezone.now(), origin=audit.of_request(request))
        return Response(self.represent(ended))
