"""The upstreams' configuration: a YAML file in the shape of the older proxy, and more.

    default_api: openai
    apis:
      openai:
        param_whitelist: {model: [gpt-4o, "gpt-4.1-*"]}
        allowed_origins: [https://www.example.com]

A file that is not understood stops the start: what it forbids must not pass.
Source: docs/gateway.md, section "Upstreams".
"""

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

import yaml
from django.conf import settings
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from core.schemas import matching

DEFAULT_UPSTREAM = "openai"
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_PRINTABLE = re.compile("[!-~]*")
# Of addresses without a path; whoever names a path means that one.
_DEFAULT_PATH = "/v1"


class BrokenConfig(Exception):
    """The configuration is not understood; the message names file and line."""


def _seconds(value: Any) -> Any:
    """Return the seconds of a duration such as `90s`, `10m` or `1m30s`; numbers are seconds."""
    if not isinstance(value, str):
        return value
    parts = _DURATION.findall(value)
    if not parts or "".join(number + unit for number, unit in parts) != value:
        raise ValueError("should be a duration such as 90s, 10m or 1m30s")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def _base_url(value: str) -> str:
    parts = urlsplit(value)
    is_address = parts.scheme in ("http", "https") and parts.hostname and _has_port(parts)
    if not is_address or parts.query or "#" in value or not _PRINTABLE.fullmatch(value):
        raise ValueError("should be an address such as https://api.example.com/v1")
    if parts.username:
        raise ValueError("should have no user name or password in it")
    return value.rstrip("/") + (_DEFAULT_PATH if parts.path in ("", "/") else "")


def _has_port(parts: SplitResult) -> bool:
    """Return whether the port of an address is one, if it has any."""
    try:
        return parts.port != 0
    except ValueError:
        return False


def _expanded(value: str) -> str:
    """Return the key with `${NAME}` replaced by that variable of the environment."""
    missing = [name for name in _VARIABLE.findall(value) if not os.environ.get(name)]
    if missing:
        raise ValueError(f"names the variable {missing[0]}, which is not set")
    key = _VARIABLE.sub(lambda match: os.environ[match[1]], value).strip()
    if "${" in _VARIABLE.sub("", value):
        raise ValueError("should name variables as ${NAME}, without defaults")
    if not _PRINTABLE.fullmatch(key):
        raise ValueError("should have printable ASCII characters without blanks")
    return key


Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0)]
UpstreamName = matching(
    r"^[A-Za-z0-9_-]+$", "a name of letters, digits, hyphens and underscores", 50
)
BaseURL = Annotated[str, AfterValidator(_base_url)]
Origin = matching(
    r"^(null|[A-Za-z][A-Za-z0-9+.-]*://[A-Za-z0-9._:\[\]-]+/?)$",
    "an origin such as https://www.example.com",
    255,
)
Method = Annotated[
    matching(r"^(?i:get|head|post|put|patch|delete|options)$", "a method such as POST", 10),
    AfterValidator(str.upper),
]
Header = matching(r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", "the name of a header", 100)


class _Part(BaseModel):
    # What is misspelled would be a limit that does not hold.
    model_config = ConfigDict(extra="forbid", frozen=True)


class Timeouts(_Part):
    """`response_header` and `idle` are of silence: nothing is sent, and nothing comes."""

    connect: Seconds = 10
    response_header: Seconds = Field(600, description="Until the answer begins.")
    idle: Seconds = Field(300, description="Between two pieces of an answer.")
    request: Seconds | None = Field(None, description="Of the whole call, with retries.")
    # Accepted for files of the older proxy; nothing waits for them here.
    idle_connection: Seconds | None = None
    flush_interval: Seconds | None = None


class Connection(_Part):
    """Accepted for files of the older proxy: connections are kept as they are needed."""

    max_idle_conns: int | None = None
    max_idle_conns_per_host: int | None = None


class Drain(_Part):
    """How long an answer is read on when its client has gone."""

    seconds: Seconds = 300
    megabytes: float = Field(64, gt=0)


class UpstreamOptions(_Part):
    """What the YAML file says of an upstream, and the admin in its field of options."""

    protocol: Literal["openai"] = "openai"
    provider: Annotated[str, Field(min_length=1, max_length=50)] | None = Field(
        None, description="The ledger's and the registry's name; default: the upstream's."
    )
    auth: Literal["bearer", "api-key"] = Field(
        "bearer", description="How the key is sent: `Authorization: Bearer`, or Azure's header."
    )
    allowed_endpoints: tuple[str, ...] = ()
    allowed_methods: tuple[Method, ...] = ()
    param_whitelist: dict[str, tuple[str, ...]] = {}
    allowed_origins: tuple[Origin, ...] = ()
    required_headers: tuple[Header, ...] = ()
    timeouts: Timeouts = Timeouts()
    connection: Connection = Connection()
    on_disconnect: Literal["drain", "cancel"] = Field(
        "drain", description="A call is paid for, also when its client leaves; own GPUs are not."
    )
    drain: Drain = Drain()
    retries: int = Field(
        0, ge=0, le=5, description="Of 429 and 503, where the upstream has not begun."
    )
    max_output_tokens: int | None = Field(
        None, gt=0, description="Of models whose limit the registry does not have."
    )
    max_tool_calls: int | None = Field(
        None, ge=0, description="Of the upstream's own tools, in requests that do not limit them."
    )
    include_usage: bool = Field(
        True, description="Ask streaming chats and completions for their usage."
    )
    shared_objects: bool = Field(
        False, description="Let projects that share a key see each other's files and batches."
    )


class UpstreamConfig(UpstreamOptions):
    """One upstream. `api_key` is the server's, for projects that have none of their own."""

    name: str
    base_url: BaseURL
    api_key: str | None = Field(None, repr=False)

    @property
    def priced_as(self) -> str:
        """The provider by which calls are priced and shown."""
        return self.provider or self.name

    @property
    def is_azure(self) -> bool:
        """Whether it has Azure's paths: it takes the key as Azure does."""
        return self.auth == "api-key"


class _Stored(_Part):
    base_url: BaseURL
    options: UpstreamOptions


def stored(name: str, *, base_url: str, options: Any, api_key: str | None = None) -> UpstreamConfig:
    """Return an upstream made in the admin. Raises ValidationError with its members' paths."""
    checked = _Stored.model_validate({"base_url": base_url, "options": options})
    members = checked.options.model_dump(exclude_unset=True)
    return UpstreamConfig(name=name, base_url=checked.base_url, api_key=api_key, **members)


def faults(error: ValidationError) -> list[tuple[tuple, str]]:
    """Return where each fault is, and what: without the input, which may be a key."""
    return [
        (entry["loc"], entry["msg"].removeprefix("Value error, "))
        for entry in error.errors(include_url=False, include_input=False)
    ]


class _FileEntry(UpstreamOptions):
    base_url: BaseURL | None = None
    api_key: Annotated[str, AfterValidator(_expanded)] | None = None


class _File(_Part):
    default_api: str | None = None
    apis: dict[UpstreamName, _FileEntry] = {}


class Configured(_Part):
    """The upstreams of file and environment by name, and the one that is used by default."""

    default: str
    upstreams: dict[str, UpstreamConfig]


def configured() -> Configured:
    """Return what file and environment say. Raises BrokenConfig."""
    return _configured(
        settings.API_CONFIG_PATH,
        settings.DEFAULT_API_PROVIDER,
        settings.OPENAI_API_URL,
        settings.OPENAI_API_KEY,
    )


def forget() -> None:
    """Read the file again; for tests that change it."""
    _configured.cache_clear()


@lru_cache(maxsize=8)
def _configured(path: str, default: str, openai_url: str, openai_key: str) -> Configured:
    file = _read(Path(path)) if path else _File()
    entries = {DEFAULT_UPSTREAM: _FileEntry(), **file.apis}
    upstreams = {}
    for name, entry in entries.items():
        values = entry.model_dump(exclude_unset=True)
        if name == DEFAULT_UPSTREAM:
            values.setdefault("base_url", openai_url)
            values.setdefault("api_key", openai_key or None)
        if values.get("base_url") is None:
            raise BrokenConfig(f"{path}: apis.{name}: base_url is missing")
        try:
            upstreams[name] = UpstreamConfig(name=name, **values)
        except ValidationError as error:  # the file's own members have been checked
            raise BrokenConfig(f"OPENAI_API_URL {faults(error)[0][1]}") from None
    chosen = default or file.default_api or DEFAULT_UPSTREAM
    if chosen not in upstreams:
        source = "DEFAULT_API_PROVIDER" if default else path
        names = ", ".join(upstreams)
        raise BrokenConfig(f"{source}: there is no upstream {chosen!r}, only {names}")
    return Configured(default=chosen, upstreams=upstreams)


def _read(path: Path) -> _File:
    try:
        text = path.read_text(encoding="utf-8")
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        if repeated := _repeated_member(tree):
            line = repeated.start_mark.line + 1
            raise BrokenConfig(f"{path}, line {line}: {repeated.value} occurs twice")
        return _File.model_validate(yaml.safe_load(text) or {})
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BrokenConfig(f"API_CONFIG_PATH: {path} cannot be read: {reason}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BrokenConfig(f"{path}, line {line}: {error.problem}") from error
    except yaml.YAMLError as error:
        raise BrokenConfig(f"{path}: {error}") from error
    except ValidationError as error:
        loc, fault = faults(error)[0]
        where = ".".join(map(str, loc))
        raise BrokenConfig(f"{path}, line {_line_of(tree, loc)}: {where}: {fault}") from None


def _repeated_member(tree: yaml.Node | None) -> yaml.ScalarNode | None:
    """Return the name that a mapping has a second time: YAML's reader would drop the first."""
    nodes, seen = [tree], set()
    while nodes:
        node = nodes.pop()
        if id(node) in seen:  # an alias may lead back
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            names = set()
            for name, value in node.value:
                if isinstance(name, yaml.ScalarNode) and name.value in names:
                    return name
                names.add(name.value if isinstance(name, yaml.ScalarNode) else id(name))
                nodes.append(value)
    return None


def _line_of(node: yaml.Node | None, loc: tuple) -> int:
    """Return the line of the deepest member of a path that the file has."""
    line = node.start_mark.line + 1 if node else 1
    for step in loc:
        if isinstance(node, yaml.MappingNode):
            member = next(((key, value) for key, value in node.value if key.value == step), None)
            if member is None:
                break
            line, node = member[0].start_mark.line + 1, member[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            node = node.value[step]
            line = node.start_mark.line + 1
        else:
            break
    return line
