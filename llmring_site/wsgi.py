"""The WSGI application that granian (or any WSGI server) runs."""

from llmring_site import lifeline, memory, startup

memory.return_what_is_freed()
startup.use_database()

import django  # noqa: E402

django.setup(set_prefix=False)

from accounts.keyring import listener  # noqa: E402
from llmring_site.fast_lane import FastLaneHandler  # noqa: E402
from registry_proxy.background import follower  # noqa: E402

application = FastLaneHandler()
lifeline.watch()
listener.start()
follower.start()
