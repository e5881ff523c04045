"""Google and GitHub: their routes, and the profiles they return.

Sources: Google, "OpenID Connect"; GitHub, "Authorizing OAuth apps" and "Troubleshooting
OAuth app access token request errors"; RFC 6749, sections 4.1 and 5.
"""

import logging
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode

import orjson
import requests
from django.conf import settings

from accounts.people import email_addresses
from core import egress
from core.errors import DomainError

logger = logging.getLogger(__name__)

LABELS = {"google": "Google", "github": "GitHub"}
SECONDS = 8  # for all calls of one login
_MAX_BYTES = 1_048_576
_TIMEOUT = (3, 8)  # seconds: to connect, and between two reads


class ProviderFailed(DomainError):
    """The provider returned no profile. The message repeats nothing of its answer."""

    status_code = 502
    code = "provider_failed"

    def __init__(self) -> None:
        super().__init__("The provider did not complete the login; try again")


@dataclass(frozen=True, slots=True)
class Profile:
    """An account at a provider: its id, and its address if the provider has verified that."""

    provider: str
    subject: str
    verified_email: str | None


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider that the operator configured."""

    name: str
    client_id: str
    client_secret: str
    authorize_url: str
    token_url: str
    api_url: str
    scope: str

    def address(self, *, state: str, challenge: str, redirect_uri: str) -> str:
        """Return the address of the provider's login."""
        query = {
            "client_id": self.client_id,
            "redirect_uri": redirect_uri,
            "response_type": "code",
            "scope": self.scope,
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{self.authorize_url}?{urlencode(query)}"


def configured(name: str) -> Provider | None:
    """Return the provider of this name; None if it is unknown or has no client id."""
    options = settings.OAUTH_PROVIDERS.get(name)
    if not options or not options["client_id"]:
        return None
    identity = (name, options["client_id"], options["client_secret"])
    base = options["url"].rstrip("/")
    if name == "google":
        return Provider(
            *identity,
            f"{base or 'https://accounts.google.com'}/o/oauth2/v2/auth",
            f"{base or 'https://oauth2.googleapis.com'}/token",
            f"{base or 'https://openidconnect.googleapis.com'}/v1",
            "openid email",
        )
    return Provider(
        *identity,
        f"{base or 'https://github.com'}/login/oauth/authorize",
        f"{base or 'https://github.com'}/login/oauth/access_token",
        f"{base}/api/v3" if base else "https://api.github.com",
        "read:user user:email",
    )


def names() -> list[str]:
    """Return the names of the configured providers."""
    return [name for name in settings.OAUTH_PROVIDERS if configured(name)]


def choices() -> list[tuple[str, str]]:
    """Return name and label of each configured provider, for pages."""
    return [(name, LABELS[name]) for name in names()]


def profile(provider: Provider, *, code: str, verifier: str, redirect_uri: str) -> Profile:
    """Exchange a code for a token, and return the profile it opens. Raises ProviderFailed."""
    try:
        with egress.time_limit(SECONDS), egress.session() as session:
            form = {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": redirect_uri,
                "client_id": provider.client_id,
                "client_secret": provider.client_secret,
                "code_verifier": verifier,
            }
            token = _access_token(_call(session, "POST", provider.token_url, data=form))
            session.headers["Authorization"] = f"Bearer {token}"
            read = _google if provider.name == "google" else _github
            return read(session, provider)
    except (requests.RequestException, ValueError, KeyError, TypeError) as error:
        # Only the error's type: its text may contain the code or the token.
        logger.warning("login with %s failed: %s", provider.name, type(error).__name__)
        raise ProviderFailed from None


def _google(session: requests.Session, provider: Provider) -> Profile:
    person = _json(_call(session, "GET", f"{provider.api_url}/userinfo"))
    is_verified = person.get("email_verified") in (True, "true")
    return _profile(provider, person["sub"], person.get("email") if is_verified else None)


def _github(session: requests.Session, provider: Provider) -> Profile:
    person = _json(_call(session, "GET", f"{provider.api_url}/user"))
    # The public address of the profile may be anybody's: only the list says which is verified.
    try:
        addresses = _json(_call(session, "GET", f"{provider.api_url}/user/emails"), list)
    except _Refused:
        addresses = []
    verified = [
        each["email"]
        for each in addresses
        if isinstance(each, dict) and each.get("verified") is True and each.get("primary") is True
    ]
    return _profile(provider, person["id"], verified[0] if verified else None)


def _profile(provider: Provider, subject: object, email: object) -> Profile:
    if not isinstance(subject, str | int) or not str(subject) or len(str(subject)) > 255:
        raise ValueError("no subject")
    is_usable = isinstance(email, str) and email_addresses.is_address(email)
    return Profile(provider.name, str(subject), email if is_usable else None)


class _Refused(ValueError):
    """The provider answered with another status than 200."""


def _call(session: requests.Session, method: str, url: str, **options) -> bytes:
    headers = {"Accept": "application/json"}
    with session.request(
        method,
        url,
        headers=headers,
        timeout=_TIMEOUT,
        allow_redirects=False,
        stream=True,
        **options,
    ) as response:
        if response.status_code != 200:
            raise _Refused(response.status_code)
        return egress.read(response, limit=_MAX_BYTES)


def _access_token(body: bytes) -> str:
    """Return the token in an answer, which is JSON, or form-encoded (GitHub's default)."""
    try:
        token = _json(body)["access_token"]
    except orjson.JSONDecodeError:
        token = parse_qs(body.decode("ascii"))["access_token"][0]
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise ValueError("no token")
    return token


def _json(body: bytes, kind: type = dict):
    value = orjson.loads(body)
    if not isinstance(value, kind):
        raise TypeError("another kind of JSON")
    return value
