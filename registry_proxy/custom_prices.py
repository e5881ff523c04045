"""Custom prices: for deployments, contracts and units that the registry lacks.

A process keeps them in memory. Other processes learn of a change within seconds,
by `follow()`.
"""

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from datetime import datetime
from decimal import Decimal
from difflib import get_close_matches
from functools import lru_cache
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.models import Q
from django.utils import timezone

from accounts import audit
from core.database.constraints import violated_constraint
from core.errors import DomainError
from core.json_writer import plain
from registry_proxy import price_audit
from registry_proxy.models import CustomPrice
from registry_proxy.tokens import TOKEN_CLASSES, TOKEN_UNITS

OVERLAP_CONSTRAINT = "custom_prices_ranges_apart"
OVERLAP = "Another price for these models overlaps this period."
# Names that other systems have for the classes.
_OTHER_NAMES = frozenset({"cached", "cached_input", "completion", "prompt", "reasoning"})


class PriceOverlap(DomainError):
    """Another custom price of the same models is valid at the same time."""

    status_code = 409
    code = "price_overlap"


class CustomPrices:
    """All custom prices, in the memory of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Return to the state of a process that has just started."""
        self._rows: tuple[CustomPrice, ...] | None = None

    @property
    def is_loaded(self) -> bool:
        return self._rows is not None

    def follow(self) -> None:
        """Load what is stored now. One query."""
        self._rows = tuple(CustomPrice.objects.all())

    def finder(
        self, provider: str, model: str, *, at: datetime | None, project_id: UUID | None
    ) -> Callable[[str], CustomPrice | None]:
        """Return a function from a modifier to the price of a model at a time (default now).

        A modifier is written as `speed=fast`; "" is the price of calls without one.
        A project's own price wins over a global one, then the closer name (`_rank`). Where
        no price is of that model it is `find_none`.
        """
        rows = (*self._loaded(), *_supposed.get())
        if not rows:
            return find_none
        moment = at or timezone.now()
        matching = [
            row
            for row in rows
            if row.project_id in (None, project_id)
            and row.valid_from <= moment
            and (row.valid_to is None or moment < row.valid_to)
            and applies(row, provider, model)
        ]
        if not matching:
            return find_none
        matching.sort(key=_rank, reverse=True)
        # In any letter case, like names of models: modifiers of calls come in lower case.
        by_modifier = {row.modifier.casefold(): row for row in reversed(matching)}
        return lambda modifier: by_modifier.get(modifier.casefold())

    def _loaded(self) -> tuple[CustomPrice, ...]:
        if self._rows is None:
            with self._lock:
                if self._rows is None:
                    self.follow()
        return self._rows


current = CustomPrices()
_supposed: ContextVar[tuple[CustomPrice, ...]] = ContextVar("supposed", default=())


@contextmanager
def supposing(price: CustomPrice) -> Iterator[None]:
    """Price calls in this context as if this price were stored."""
    token = _supposed.set((price,))
    try:
        yield
    finally:
        _supposed.reset(token)


def applies(price: CustomPrice, provider: str, model: str) -> bool:
    """Return whether the price applies to a model, as calls name it: also by `provider:model`."""
    return any(
        _matches(price.provider, each_provider) and _matches(price.model, each_model)
        for each_provider, each_model in _names(provider, model)
    )


def _names(provider: str, model: str) -> list[tuple[str, str]]:
    """Return the provider and model as they are, and those of a `provider:model`."""
    prefix, _, name = model.partition(":")
    if name and provider.strip().casefold() in ("", prefix.strip().casefold()):
        return [(provider, model), (prefix, name)]
    return [(provider, model)]


def save(price: CustomPrice, *, origin: audit.Origin, replace: bool = False) -> CustomPrice:
    """Store a price, record it, and use it from now on. Raises ValidationError, PriceOverlap.

    With `replace`, the price that is valid when it begins ends at that time.
    """
    price.full_clean()
    try:
        with changing(price.project_id):
            before = CustomPrice.objects.filter(pk=price.pk).first()
            if replace:
                for earlier in _overlapping(price).filter(valid_from__lt=price.valid_from):
                    _end(earlier, price.valid_from, origin)
            price.save()
            price_audit.record(origin, "update" if before else "create", price, before)
    except IntegrityError as error:
        if violated_constraint(error) != OVERLAP_CONSTRAINT:
            raise
        raise PriceOverlap(OVERLAP) from error
    _follow()
    return price


def end(price: CustomPrice, *, origin: audit.Origin, at: datetime) -> CustomPrice:
    """End a price at a time, or delete it if it has not begun by then; record either.

    Returns the price as it is afterwards. One that ended earlier is left as it is.
    """
    with changing(price.project_id):
        # Another price may have ended it meanwhile, and begun when it ended.
        stored = CustomPrice.objects.filter(pk=price.pk).first()
        if stored is None:
            return price
        if stored.valid_from >= at:
            CustomPrice.objects.filter(pk=price.pk).delete()
            price_audit.record(origin, "delete", stored, stored)
        elif stored.valid_to is None or stored.valid_to > at:
            _end(stored, at, origin)
    _follow()
    return stored


@contextmanager
def changing(project_id: UUID | None) -> Iterator[None]:
    """Open a transaction and lock the project's prices (None: those of all projects).

    Without the lock, concurrent writers would deadlock in the constraint on their periods.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended('custom_prices', %s))",
                [project_id.int & (2**63 - 1) if project_id else 0],
            )
        yield


def _follow() -> None:
    current.follow()
    if connection.in_atomic_block:
        # Again after the commit: meanwhile the follower may have read the old prices.
        transaction.on_commit(current.follow)


def _end(price: CustomPrice, at: datetime, origin: audit.Origin) -> None:
    before = copy(price)
    price.valid_to = at
    price.save(update_fields=["valid_to"])
    price_audit.record(origin, "update", price, before)


def overlaps(price: CustomPrice) -> bool:
    """Return whether another price of exactly these models is valid at the same time."""
    return _overlapping(price).exists()


def _overlapping(price: CustomPrice):
    others = CustomPrice.objects.exclude(pk=price.pk).filter(
        Q(valid_to=None) | Q(valid_to__gt=price.valid_from),
        project_id=price.project_id,
        provider__iexact=price.provider,
        model__iexact=price.model,
        modifier__iexact=price.modifier,
    )
    return others if price.valid_to is None else others.filter(valid_from__lt=price.valid_to)


def parse_amounts(texts: Mapping[str, str]) -> dict[str, str]:
    """Return prices by class or unit, in the form that is stored. Raises ValidationError."""
    amounts = {}
    for name, text in texts.items():
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,49}", name) or _is_misnamed_class(name):
            raise ValidationError(
                f"{name!r} is not the name of a token class or unit; the classes are "
                + ", ".join(TOKEN_CLASSES)
            )
        try:
            amount = Decimal(text)
        except ArithmeticError:
            amount = Decimal("NaN")
        if not amount.is_finite() or not 0 <= amount <= CustomPrice.MAX_AMOUNT:
            raise ValidationError(f"{name}: {text!r} is not a price")
        amounts[name] = plain(amount)
    return amounts


def _is_misnamed_class(name: str) -> bool:
    """Return whether the name is a misspelled class, whose price would never apply.

    Any other name is a unit, which callers name as they like.
    """
    if name in TOKEN_CLASSES or name in TOKEN_UNITS:
        return False
    return (
        name.endswith("tokens")
        or name in _OTHER_NAMES
        or bool(get_close_matches(name, TOKEN_CLASSES, cutoff=0.8))
    )


def find_none(modifier: str) -> None:
    """Return None: no custom price applies."""
    return None


def _rank(price: CustomPrice) -> tuple:
    return price.project_id is not None, _closeness(price.model), _closeness(price.provider)


def _closeness(pattern: str) -> tuple[bool, int]:
    """Return how closely a pattern names what it matches: a whole name wins over any pattern."""
    return "*" not in pattern, len(pattern.replace("*", ""))


def _matches(pattern: str, text: str) -> bool:
    return pattern == "*" or _compiled(pattern).fullmatch(text.strip()) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern:
    """Compile a pattern in which only `*` is special; letter case does not matter."""
    first, *others = map(re.escape, pattern.split("*"))
    if others:
        # Atomic groups: with many `*`, trying every place of each part would take for ever.
        *middle, last = others
        others = [*(f"(?>.*?{part})" for part in middle), f".*{last}"]
    return re.compile("".join([first, *others]), re.IGNORECASE | re.DOTALL)
