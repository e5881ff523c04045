"""The thread that keeps this process's copy of the registry current."""

import logging
import threading
import time

from django.db import connection
from django.utils import timezone

from core.errors import DATABASE_AWAY
from registry_proxy import service

logger = logging.getLogger(__name__)

_PAUSE_SECONDS = 3  # so soon do processes learn of a snapshot that another one stored


class RegistryFollower(threading.Thread):
    """Runs for as long as the process; started by whatever serves requests."""

    def __init__(self) -> None:
        super().__init__(name="registry-follower", daemon=True)

    def run(self) -> None:
        while True:
            self.follow()
            time.sleep(_PAUSE_SECONDS)

    def follow(self) -> None:
        """One round. Nothing ends the thread, for nobody else in this process refreshes."""
        try:
            service.keep_current(now=timezone.now())
        except DATABASE_AWAY as error:
            logger.warning("registry not refreshed: %s", type(error).__name__)
        except Exception:
            logger.exception("registry not refreshed")
        finally:
            connection.close()  # back to the pool, for requests to use


follower = RegistryFollower()
