from datetime import UTC, datetime

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts import audit
from accounts.management.projects import named_project
from registry_proxy import custom_prices
from registry_proxy.custom_prices import PriceOverlap
from registry_proxy.models import CustomPrice
from registry_proxy.registry_document import parse_time


class Command(BaseCommand):
    help = (
        "Set the price that you pay for models, in US dollars: per million tokens of a class, "
        "or per unit."
    )

    def add_arguments(self, parser) -> None:
        parser.add_argument("provider", help="as calls name it; * is any text")
        parser.add_argument("model", help="as calls name it; * is any text")
        parser.add_argument(
            "prices", nargs="*", metavar="name=dollars", help="such as input=2.5 web_searches=0.01"
        )
        parser.add_argument("--factor", help="multiplies the registry's prices")
        parser.add_argument("--priced-as", default="", help="provider:model of the registry")
        parser.add_argument("--modifier", default="", help="name=value, such as speed=fast")
        parser.add_argument("--from", dest="valid_from", help="ISO 8601, UTC; default now")
        parser.add_argument("--to", dest="valid_to", help="ISO 8601, UTC; default never")
        parser.add_argument("--project", help="name or id; default all projects")
        parser.add_argument(
            "--replace", action="store_true", help="end an earlier price when this one begins"
        )
        parser.add_argument("--note", default="", help="why, and where it is agreed")

    def handle(self, *, provider, model, prices, project, **options) -> None:
        try:
            price = CustomPrice(
                provider=provider,
                model=model,
                prices=custom_prices.parse_amounts(dict(_pair(text) for text in prices)),
                factor=options["factor"],
                priced_as=options["priced_as"],
                modifier=options["modifier"],
                valid_from=_time(options["valid_from"]) or timezone.now(),
                valid_to=_time(options["valid_to"]),
                project_id=named_project(project).id if project is not None else None,
                note=options["note"],
            )
            custom_prices.save(
                price, replace=options["replace"], origin=audit.of_command("setprice")
            )
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from None
        except PriceOverlap as error:
            raise CommandError(str(error.detail)) from None
        self.stdout.write(f"Set price {price.id}: {price}")


def _pair(text: str) -> tuple[str, str]:
    name, separator, amount = text.partition("=")
    if not separator:
        raise CommandError(f"{text!r} is not name=dollars")
    return name, amount


def _time(text: str | None) -> datetime | None:
    time = parse_time(text)
    if text and time is None:
        raise CommandError(f"{text!r} is not an ISO 8601 time")
    return time and time.astimezone(UTC)
