"""Authenticate to MCP servers: the headers of an `auth_config`."""

import base64
import threading
import time

import orjson
import requests

from core import egress
from core.secrets import Sealed
from mcp import credentials
from mcp.client.mcp_errors import ProtocolViolation, Refused, Unauthorized

_TOKEN_BYTES = 2**16
_MARGIN_SECONDS = 30  # before the expiry of a token
_DEFAULT_LIFETIME_SECONDS = 3600  # of a token without `expires_in`


class Credentials:
    """The credentials of one registered server. Thread-safe; caches the OAuth token."""

    def __init__(self, sealed: Sealed | None) -> None:
        self._sealed = sealed
        self._lock = threading.Lock()
        self._token = ""
        self._expires_at = float("-inf")

    def headers(self) -> dict[str, str]:
        """Return the headers of a call. Raises McpError if there are none to be had."""
        config = self._sealed.open() if self._sealed else None
        if not config:
            return {}
        match credentials.kind(config):
            case "none":
                return {}
            case "bearer":
                return {"Authorization": f"Bearer {config['token']}"}
            case "basic":
                pair = f"{config['username']}:{config['password']}".encode()
                return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
            case "headers":
                return config["headers"]
            case "api_key":
                header, key = credentials.api_key_of(config)
                return {header: key}
            case "oauth2":
                return {"Authorization": f"Bearer {self._oauth_token(config)}"}
        raise Refused("auth_config has no type that this server can use")

    def renew(self, refused: dict[str, str]) -> bool:
        """Drop the token of refused headers, and return whether another one may help.

        Of several threads whose calls were refused together, one fetches the new token.
        """
        with self._lock:
            if not self._token:
                return False
            if refused.get("Authorization") == f"Bearer {self._token}":
                self._expires_at = float("-inf")
            return True

    def _oauth_token(self, config: dict) -> str:
        with self._lock:
            if time.monotonic() >= self._expires_at:
                self._token, seconds = fetch_token(config)
                self._expires_at = time.monotonic() + seconds - min(_MARGIN_SECONDS, seconds / 2)
            return self._token


def fetch_token(config: dict) -> tuple[str, float]:
    """Return a client-credentials token (RFC 6749, 4.4) and its lifetime in seconds.

    Raises Unauthorized if the token server refuses, ProtocolViolation for any other answer.
    """
    form = {"grant_type": "client_credentials"}
    scope = config.get("scope") or config.get("scopes")
    if scope:
        form["scope"] = " ".join(scope) if isinstance(scope, list) else scope
    form |= {name: config[name] for name in ("audience", "resource") if config.get(name)}
    pair = (config["client_id"], config["client_secret"])
    by_post = config.get("token_endpoint_auth_method") == "client_secret_post"
    if by_post:
        form |= dict(zip(("client_id", "client_secret"), pair, strict=True))
    with (
        egress.session() as session,
        session.post(
            config["token_url"],
            data=form,
            auth=None if by_post else requests.auth.HTTPBasicAuth(*_quoted(pair)),
            headers={"Accept": "application/json"},
            timeout=(egress.CONNECT_SECONDS, 10),
            allow_redirects=False,  # the secret is for this URL only
            stream=True,
        ) as response,
    ):
        body = egress.read(response, limit=_TOKEN_BYTES)
    if response.status_code != 200:
        raise Unauthorized(f"The token server answered with status {response.status_code}")
    try:
        answer = orjson.loads(body)
        token, seconds = answer["access_token"], answer.get("expires_in")
        seconds = _DEFAULT_LIFETIME_SECONDS if seconds is None else float(seconds)
        if isinstance(token, str) and token.isascii() and token.isprintable():
            return token, seconds
    except (ValueError, TypeError, KeyError):
        pass
    raise ProtocolViolation("The token server's answer has no token")


def _quoted(pair: tuple[str, str]) -> list[str]:
    """Form-encode client id and secret, as RFC 6749, 2.3.1 requires for basic auth."""
    return [requests.utils.quote(part, safe="") for part in pair]
