"""What runs beside the requests in each process that serves them."""

from accounts.key_cache import listener
from registry_proxy.current_registry import follower


def start() -> None:
    """Start this process's threads, unless they run already."""
    listener.start()
    follower.start()
