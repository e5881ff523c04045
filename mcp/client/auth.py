"""Proving who we are to an MCP server: the headers that its `auth_config` stands for."""

import base64
import threading
import time

import orjson
import requests

from core import egress
from core.secrets import Sealed
from mcp import credentials
from mcp.client.errors import ProtocolViolation, Refused

_TOKEN_BYTES = 2**16
_EARLY = 30  # seconds before its end at which a token is not used any more
_LASTING = 3600  # seconds that a token is good for when its server does not say


class Credentials:
    """The headers of one registered server; threads share it, and with it an OAuth token."""

    def __init__(self, sealed: Sealed | None) -> None:
        self._sealed = sealed
        self._lock = threading.Lock()
        self._token = ""
        self._good_until = float("-inf")

    def headers(self) -> dict[str, str]:
        """The headers that go with a call. Raises McpError when they cannot be had."""
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
            case "api_key":
                header, key = credentials.api_key_of(config)
                return {header: key}
            case "oauth2":
                return {"Authorization": f"Bearer {self._oauth_token(config)}"}
        raise Refused("auth_config has no type that this server can use")

    def renew(self) -> bool:
        """Forget a token that was refused; whether there is another one to be had."""
        with self._lock:
            had_token, self._token = bool(self._token), ""
            self._good_until = float("-inf")
        return had_token

    def _oauth_token(self, config: dict) -> str:
        with self._lock:
            if time.monotonic() >= self._good_until:
                self._token, seconds = fetch_token(config)
                self._good_until = time.monotonic() + seconds - min(_EARLY, seconds / 2)
            return self._token


def fetch_token(config: dict) -> tuple[str, float]:
    """A token by client credentials (RFC 6749, 4.4), and for how many seconds it is good.

    Raises Refused when its server gives none, ProtocolViolation when it answers something else.
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
            allow_redirects=False,  # the secret is for this address
            stream=True,
        ) as response,
    ):
        body = egress.read(response, limit=_TOKEN_BYTES)
    if response.status_code != 200:
        raise Refused(f"The token server answered with status {response.status_code}")
    try:
        answer = orjson.loads(body)
        token, seconds = answer["access_token"], answer.get("expires_in")
        seconds = _LASTING if seconds is None else float(seconds)
        if isinstance(token, str) and token.isascii() and token.isprintable() and seconds >= 0:
            return token, seconds
    except (ValueError, TypeError, KeyError):
        pass
    raise ProtocolViolation("The token server's answer has no token")


def _quoted(pair: tuple[str, str]) -> list[str]:
    """RFC 6749, 2.3.1: both are form-encoded before they become a basic password."""
    return [requests.utils.quote(part, safe="") for part in pair]
