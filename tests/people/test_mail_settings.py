"""Which mail server the settings choose, in a process that reads them anew."""

import os
import subprocess
import sys

import pytest

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
