"""Mail backends of servers that are dead."""

import threading

from django.core.mail.backends.base import BaseEmailBackend


class Hangs(BaseEmailBackend):
    """Takes two seconds, and then nothing was sent."""

    def send_messages(self, messages) -> int:
        threading.Event().wait(2)
        raise TimeoutError


class Refuses(BaseEmailBackend):
    def send_messages(self, messages) -> int:
        raise ConnectionRefusedError
