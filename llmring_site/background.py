"""What runs beside the requests in each process that serves them."""

from accounts.key_cache import listener
from registry_proxy.current_registry import follower


def start() -> None:
    """Start this process's threads, unless they run already."""
    listener.start()
    follower.start()


async def close_writers() -> None:
    """Close the connections of this process's group writers."""
    from conversations import store
    from usage import ledger

    await ledger.writer.close()
    await store.writer.close()
