"""Filters of keys and tokens by their state."""

from django.contrib import admin
from django.db.models import Q

from accounts.models import in_state


class StateFilter(admin.SimpleListFilter):
    title = parameter_name = "state"
    states = ("active", "expired", "revoked")

    def lookups(self, request, model_admin):
        return [(state, state) for state in self.states]

    def queryset(self, request, queryset):
        state = self.value()
        return queryset.filter(self.condition(state)) if state in self.states else queryset

    def condition(self, state: str) -> Q:
        return in_state(state)


class KeyStateFilter(StateFilter):
    states = (*StateFilter.states, "pending")

    def condition(self, state: str) -> Q:
        """Return the condition; a key is pending until its address is verified or it is revoked."""
        if state == "pending":
            return Q(is_pending=True, revoked_at__isnull=True)
        return in_state(state) & (Q() if state == "revoked" else Q(is_pending=False))
