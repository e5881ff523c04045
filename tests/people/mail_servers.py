"""Mail backends of servers that are dead."""

import threading

from django.core.mail.backends.base import BaseEmailBackend


class Hangs(BaseEmailBackend):
    """Takes two seconds unless it is told to go on, and then nothing was sent."""

    go_on = threading.Event()

    def send_messages(self, messages) -> int:
        self.go_on.wait(2)
        raise TimeoutError


class Refuses(BaseEmailBackend):
    def send_messages(self, messages) -> int:
        raise ConnectionRefusedError
