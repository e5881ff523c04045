"""The WSGI application that granian (or any WSGI server) runs."""

from core import memory
from llmring_site import parent_watchdog as lifeline
from llmring_site import startup

memory.return_what_is_freed()
startup.use_database()

import django  # noqa: E402

django.setup(set_prefix=False)

from accounts.key_cache import listener  # noqa: E402
from core.edge import EdgeHandler  # noqa: E402
from llmring_site import edge_routes  # noqa: E402
from mcp import background_refresh  # noqa: E402
from registry_proxy.current_registry import follower  # noqa: E402

application = EdgeHandler(routes=edge_routes.routes(), patterns=edge_routes.patterns())
lifeline.watch()
listener.start()
follower.start()
background_refresh.start()
