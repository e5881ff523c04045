"""The applications, put together. Django is set up."""

from django.core.handlers.wsgi import WSGIHandler

from accounts.authentication import admit_request, count_public, presents_key
from core.database.group_commit import close_writers
from core.edge import Edge
from core.lifespan import Lifespan
from core.wsgi_bridge import WSGIBridge
from llmring_site import background, urls


class _Handler(WSGIHandler):
    def __call__(self, environ, start_response):
        background.start()  # in the process that serves: it may have been forked since the import
        return super().__call__(environ, start_response)


wsgi = _Handler()
edge = Edge(
    urls.EDGE_ROUTES,
    can_admit=presents_key,
    admit=admit_request,
    admit_public=count_public,
    fallback=WSGIBridge(WSGIHandler()),
)
asgi = Lifespan(edge, start=background.start, stop=close_writers)
