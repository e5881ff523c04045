"""The ASGI application, for `llmring-server` and any other ASGI server."""

from core import memory
from llmring_site import startup

memory.limit_retained_memory()
startup.load()

with memory.gc_paused():  # nothing that is loaded is garbage
    from llmring_site.application import asgi as application  # noqa: F401
