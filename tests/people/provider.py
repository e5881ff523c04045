"""O, a scripted provider on loopback that speaks as Google and as GitHub.

It checks PKCE as RFC 7636 has it: the challenge of the login against the verifier of the
exchange. `say(path, ...)` has it misbehave.
"""

import base64
import hashlib
import json
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

TOKEN_PATHS = {"/token": "google", "/login/oauth/access_token": "github"}


class ScriptedProvider:
    def __init__(self) -> None:
        self.logins: list[dict] = []  # what browsers were sent with
        self.exchanges: list[dict] = []  # what the token endpoint was asked
        self.google = {"sub": "g-1", "email": "ana@example.com", "email_verified": True}
        self.github = {"id": 17, "email": "public@example.com"}
        self.emails: object = [
            {"email": "ana@example.com", "primary": True, "verified": True},
            {"email": "17+ana@users.noreply.github.com", "primary": False, "verified": True},
        ]
        self.answers: dict[str, tuple[int, str, bytes]] = {}
        self._codes: dict[str, dict] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        # It looks at the end of each interval whether it shall end.
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def say(self, path: str, body: object, *, status: int = 200, kind: str = "application/json"):
        """Have a path answer this, whatever it is asked."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers[path] = (status, kind, data)

    def authorize(self, location: str) -> dict[str, str]:
        """What the browser brings back from `location`: the person has said yes."""
        parts = urlsplit(location)
        assert f"{parts.scheme}://{parts.netloc}" == self.url
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.logins.append({**query, "path": parts.path})
        code = secrets.token_hex(8)
        self._codes[code] = query
        return {"code": code, "state": query["state"]}

    def _exchange(self, path: str, form: dict[str, str]) -> tuple[int, dict]:
        self.exchanges.append(form)
        login = self._codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        is_right = (
            login is not None
            and login["code_challenge"] == challenge
            and login["redirect_uri"] == form.get("redirect_uri")
            and form.get("client_secret") == f"{TOKEN_PATHS[path]}-secret"
        )
        if is_right:
            return 200, {"access_token": "t-1", "token_type": "bearer"}
        # GitHub answers 200 for its errors.
        status = 200 if TOKEN_PATHS[path] == "github" else 400
        return status, {"error": "bad_verification_code"}

    def _profile(self, path: str) -> object:
        return {
            "/v1/userinfo": self.google,
            "/api/v3/user": self.github,
            "/api/v3/user/emails": self.emails,
        }[path]

    def _handler(provider):  # noqa: N805 - `self` is the handler's
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = {name: values[0] for name, values in parse_qs(body).items()}
                if self.path in provider.answers:
                    provider.exchanges.append(form)
                    return self._send(*provider.answers[self.path])
                status, reply = provider._exchange(self.path, form)
                return self._send(status, "application/json", json.dumps(reply).encode())

            def do_GET(self):
                if self.path in provider.answers:
                    return self._send(*provider.answers[self.path])
                if self.headers["Authorization"] != "Bearer t-1":
                    return self._send(401, "application/json", b"{}")
                reply = json.dumps(provider._profile(self.path)).encode()
                return self._send(200, "application/json", reply)

            def _send(self, status, kind, body):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        return Handler


def start(browser, name: str = "google", **query) -> str:
    """Where the browser is sent."""
    response = browser.get(f"/api/v1/auth/login/{name}", query)
    assert response.status_code == 302
    return response["Location"]


def come_back(browser, answer: dict, name: str = "google"):
    return browser.get(f"/api/v1/auth/callback/{name}", answer)


def log_in(browser, provider, name: str = "google", **query):
    return come_back(browser, provider.authorize(start(browser, name, **query)), name)
