"""Which mail server the settings choose, in a process that reads them anew."""

import io
import os
import subprocess
import sys
import threading
from smtplib import SMTPDataError, SMTPRecipientsRefused, SMTPServerDisconnected

import pytest
from django.core.mail.backends.base import BaseEmailBackend

from accounts import mailing
from accounts.mail_errors import reason

SHOW = (
    "from django.conf import settings; from django.core.mail import get_connection;"
    "c = get_connection(settings.EMAIL_BACKEND, **settings.EMAIL_OPTIONS);"
    "print(type(c).__module__.split('.')[-1], getattr(c, 'host', ''), getattr(c, 'port', ''),"
    " getattr(c, 'password', ''))"
)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", "console"),
        ("smtp://ana:p%40ss@mail.example.com:587", "smtp mail.example.com 587 p@ss"),
        ("smtps://mail.example.com", "smtp mail.example.com 465"),
    ],
)
def test_mails_go_to_the_server_of_the_variable(tmp_path, url, expected):
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "llmring_site.settings",
        "LLMRING_EMAIL_URL": url,
        "LLMRING_DATA_DIR": str(tmp_path),
    }
    shown = subprocess.run(
        [sys.executable, "-c", SHOW], env=environment, capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == expected


SEND = (
    "from django.core.mail import EmailMessage, get_connection;"
    "EmailMessage('Hello', 'Text', to=['ana@example.com'], connection=get_connection()).send()"
)


@pytest.mark.parametrize(
    ("public_url", "sender"),
    [
        ("https://llm.example.com:8443/llmring", "noreply@llm.example.com"),
        ("http://192.0.2.7:8000", "noreply@[192.0.2.7]"),
        ("http://[2001:db8::7]:8000", "noreply@[IPv6:2001:db8::7]"),
        ("https://bücher.example", "noreply@xn--bcher-kva.example"),
    ],
)
def test_mails_are_sent_from_the_host_of_the_public_address(tmp_path, public_url, sender):
    done = subprocess.run(
        [sys.executable, "-c", SEND],
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "llmring_site.settings",
            "LLMRING_PUBLIC_URL": public_url,
            "LLMRING_DATA_DIR": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"From: LLMRing <{sender}>" in done.stdout.splitlines()


def test_mails_are_sent_again_after_one_had_nowhere_to_be_printed(
    person, settings, monkeypatch, caplog
):
    """A server whose standard output is closed has no `sys.stdout`."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    monkeypatch.setattr(sys, "stdout", None)
    person("ana@example.com")
    mailing.wait_until_sent()
    assert "a mail was not sent: AttributeError" in caplog.text
    printed = io.StringIO()
    monkeypatch.setattr(sys, "stdout", printed)
    person("bob@example.com")
    mailing.wait_until_sent()
    assert "To: bob@example.com" in printed.getvalue()
    assert "/verify#token=" in printed.getvalue()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            SMTPDataError(550, b"5.7.1 Relaying\n denied"),
            "SMTPDataError (550 5.7.1 Relaying denied)",
        ),
        (
            SMTPRecipientsRefused({"ana@example.com": (550, b"<ana@example.com>: unknown")}),
            "SMTPRecipientsRefused (550 <…>: unknown)",
        ),
        (SMTPServerDisconnected("closed"), "SMTPServerDisconnected (closed)"),
        (ConnectionRefusedError(111, "Refused"), "ConnectionRefusedError ([Errno 111] Refused)"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_reason_is_what_the_server_said_without_addresses(error, expected):
    assert reason(error) == expected


class Hanging(BaseEmailBackend):
    goes_on = threading.Event()

    def send_messages(self, messages) -> int:
        self.goes_on.wait()
        return len(messages)


def test_process_that_ends_tells_of_mails_that_are_still_waiting(settings, monkeypatch, caplog):
    settings.EMAIL_BACKEND = f"{__name__}.Hanging"
    monkeypatch.setattr(mailing, "_FINISH_SECONDS", 0)
    Hanging.goes_on.clear()
    for email in ("ana@example.com", "ben@example.com"):
        mailing.send(email, "verify", email=email, link="https://example.com/")
    mailing.finish()
    assert "2 mails were not sent" in caplog.text
    caplog.clear()
    Hanging.goes_on.set()
    monkeypatch.setattr(mailing, "_FINISH_SECONDS", 30)
    mailing.finish()
    assert caplog.text == ""
