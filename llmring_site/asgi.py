"""The ASGI application that `llmring-server` (or any ASGI server) runs."""

from core import memory
from llmring_site import startup

memory.return_what_is_freed()
startup.use_database()

import django  # noqa: E402

django.setup(set_prefix=False)

from django.core.handlers.wsgi import WSGIHandler  # noqa: E402

from accounts.authentication import authenticate_request  # noqa: E402
from core.edge import Edge  # noqa: E402
from core.lifespan import Lifespan  # noqa: E402
from core.wsgi_bridge import WSGIBridge  # noqa: E402
from llmring_site import background, urls  # noqa: E402

application = Lifespan(
    Edge(
        urls.edge_routes,
        authenticate=authenticate_request,
        fallback=WSGIBridge(WSGIHandler()),
    ),
    start=background.start,
    stop=background.close_writers,
)
