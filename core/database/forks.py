"""Lets a forked child open connections of its own instead of using its parent's."""

import os

from django.db import connections

# Kept, not freed: closing them in a child would end the parent's sessions.
_parents: list[object] = []


def forget_connections() -> None:
    """Forget the connections and pools of the parent process."""
    for wrapper in connections.all(initialized_only=True):
        pools = getattr(type(wrapper), "_connection_pools", {})
        _parents.append((wrapper, dict(pools)))
        pools.clear()
        del connections[wrapper.alias]  # the next use makes a new one


os.register_at_fork(after_in_child=forget_connections)
