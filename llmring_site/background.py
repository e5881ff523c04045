"""What each process that serves requests needs besides the application."""

from accounts import key_uses
from accounts.key_cache import listener
from core.database.timeouts import limit_statements
from gateway.worker import worker
from llmring_site.periodic_jobs import jobs
from mcp import background_refresh
from registry_proxy.current_registry import follower


def start() -> None:
    """Limit statements and start this process's threads, unless that has been done already."""
    limit_statements()
    listener.start()
    key_uses.writer.start()
    follower.start()
    background_refresh.start()
    worker.start()
    jobs.start()
