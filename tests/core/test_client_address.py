"""The client's address behind proxies; only trusted proxies may name it."""

from ipaddress import ip_network

import pytest

from accounts.models import User
from core.client_address import client_address
from tests.client import ApiClient

PROXIES = [ip_network("10.0.0.0/8"), ip_network("::1/128")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.7, 203.0.113.9", "203.0.113.9"),  # the first is made up
        ("203.0.113.9", "198.51.100.7", "203.0.113.9"),  # no proxy of ours
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9:4711", "203.0.113.9"),
        ("::1", "[2001:db8::5]", "2001:db8::5"),
        ("::1", "2001:db8::5", "2001:db8::5"),
        ("", "203.0.113.9", ""),  # a Unix socket
    ],
)
def test_forwarded_addresses_are_believed_from_trusted_proxies(settings, peer, forwarded, address):
    settings.TRUSTED_PROXIES = PROXIES
    assert client_address(peer, forwarded) == address


def test_nothing_is_believed_without_trusted_proxies():
    assert client_address("127.0.0.1", "203.0.113.9") == "127.0.0.1"


def log_in(address: str, password: str):
    return ApiClient().post(
        "/admin/login/",
        {"username": "admin", "password": password},
        HTTP_X_FORWARDED_FOR=address,
    )


def test_lock_out_of_one_address_leaves_others_in(db_all, settings):
    settings.TRUSTED_PROXIES = [ip_network("127.0.0.1/32")]
    User.objects.create_superuser("admin", password="right")
    for _ in range(5):
        log_in("203.0.113.9", "wrong")
    assert log_in("203.0.113.9", "right").status_code == 429
    assert log_in("198.51.100.7", "right").status_code == 302
