"""The WSGI application, for servers that speak no ASGI. It serves everything but streams to come."""

from core import memory
from llmring_site import startup

memory.return_what_is_freed()
startup.use_database()

import django  # noqa: E402

django.setup(set_prefix=False)

from django.core.handlers.wsgi import WSGIHandler  # noqa: E402

from llmring_site import background  # noqa: E402


class _Handler(WSGIHandler):
    def __call__(self, environ, start_response):
        background.start()  # in the process that serves: it may have been forked after this import
        return super().__call__(environ, start_response)


application = _Handler()
