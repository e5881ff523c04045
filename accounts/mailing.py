"""Mails to people, sent by a background thread.

A request never waits for the mail server, since the time of the reply would show which
addresses have accounts. A mail that cannot be sent is logged and lost; people can request each
of them again. A process that ends sends its pending mails first.
"""

import logging
import queue
from urllib.parse import urlencode

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.template.loader import render_to_string
from django.urls import reverse

from accounts.mail_errors import reason
from core.process_thread import ProcessThread

logger = logging.getLogger(__name__)
_MAX_WAITING = 1_000
_FINISH_SECONDS = 3


def connection() -> BaseEmailBackend:
    """Return a connection to the mail server, not opened yet."""
    return get_connection(**settings.EMAIL_OPTIONS)


class Sender(ProcessThread):
    name = "mail"

    def prepare(self) -> None:
        self.waiting: queue.Queue[EmailMessage] = queue.Queue(_MAX_WAITING)

    def run(self) -> None:
        while True:
            message = self.waiting.get()
            try:
                message.connection = connection()
                message.send()
            except Exception as error:  # the thread has to go on
                logger.error("a mail was not sent: %s", reason(error))
            finally:
                self.waiting.task_done()

    def finish(self, seconds: float) -> int:
        """Wait until all mails are sent, at most so many seconds; return how many are not."""
        if not self.is_running:
            return 0
        with self.waiting.all_tasks_done:
            self.waiting.all_tasks_done.wait_for(
                lambda: not self.waiting.unfinished_tasks, timeout=seconds
            )
            return self.waiting.unfinished_tasks


_sender = Sender()


def send(to: str, template: str, **context: object) -> None:
    """Send a mail in the background; the first line of its template is the subject."""
    text = render_to_string(
        f"accounts/mail/{template}.txt", {**context, "site": settings.PUBLIC_URL}
    )
    subject, _, body = text.strip().partition("\n")
    _sender.start()
    try:
        _sender.waiting.put_nowait(
            EmailMessage(" ".join(subject.split())[:200], body.strip() + "\n", to=[to])
        )
    except queue.Full:
        logger.error("a mail was not sent: too many are waiting")


def link(name: str, token: str) -> str:
    """Return the public URL of a page with a token, for a mail.

    The token is behind `#`: browsers do not send that part, so no log and no referrer has it.
    """
    return f"{page(name)}#{urlencode({'token': token}, safe=':')}"


def page(name: str) -> str:
    """Return the public URL of a page. Needs no request."""
    # PUBLIC_URL contains the script name already.
    path = reverse(name).removeprefix(settings.FORCE_SCRIPT_NAME or "")
    return settings.PUBLIC_URL + path


def finish() -> None:
    """Send pending mails before this process ends; log how many could not be sent."""
    if left := _sender.finish(_FINISH_SECONDS):
        logger.error("%d mails were not sent: this process is ending", left)


def wait_until_sent() -> None:
    """Return when no mail is waiting."""
    if _sender.is_running:
        _sender.waiting.join()
