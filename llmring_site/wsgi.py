"""The WSGI application, for servers that do not speak ASGI."""

from core import memory
from llmring_site import startup

memory.limit_retained_memory()
startup.load()

from llmring_site.application import wsgi as application  # noqa: E402, F401
