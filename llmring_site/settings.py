"""The one settings file. Every environment variable is read here, and only here.

tests/site/test_env.py compares the README's table of variables with this file.
"""

import decimal
import importlib.metadata
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from django.templatetags.static import static
from django.utils.functional import SimpleLazyObject

from core import key_files
from core.database.config import database_settings, max_workers
from llmring_site import env, env_addresses
from llmring_site.env_file import load_env_file
from llmring_site.log_config import logging_settings

# Amounts of money have up to 38 digits. Python's default of 28 would round even their negation.
for context in (decimal.DefaultContext, decimal.getcontext()):
    context.prec = 60

_MAX_BYTES = 2**40  # of a body

BASE_DIR = Path(__file__).resolve().parent.parent
load_env_file(Path(".env"))  # relative: the working directory may have been deleted

VERSION = importlib.metadata.version("llmring-server")
DEBUG = env.boolean("LLMRING_DEBUG", False)
DATA_DIR = env.directory("LLMRING_DATA_DIR", "data")
# Created at the first use: commands that need none write nothing.
SECRET_KEY = env.secret_key("LLMRING_SECRET_KEY") or SimpleLazyObject(
    lambda: key_files.load_or_create(DATA_DIR, "secret_key")
)
HTTP_PORT = env.integer("LLMRING_HTTP_PORT", 8000, minimum=1, maximum=65535)
# Another address to listen on, such as `:8080`. The name is llm-proxy's.
LISTEN_ADDR = env_addresses.listen_address("LISTEN_ADDR")

ALLOWED_HOSTS = env_addresses.hosts("LLMRING_ALLOWED_HOSTS", ["*"])
if "*" not in ALLOWED_HOSTS:
    ALLOWED_HOSTS += ["localhost", "127.0.0.1", "[::1]"]  # health checks beside the server
# https means: behind a proxy that terminates TLS and sets X-Forwarded-Proto.
PUBLIC_URL = env_addresses.public_url("LLMRING_PUBLIC_URL", f"http://localhost:{HTTP_PORT}")
BEHIND_TLS = PUBLIC_URL.startswith("https://")
CSRF_TRUSTED_ORIGINS = [env_addresses.origin_of(urlsplit(PUBLIC_URL))]
# The path below which a proxy serves us, and which it strips from the requests.
FORCE_SCRIPT_NAME = urlsplit(PUBLIC_URL).path or None
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = FORCE_SCRIPT_NAME or "/"
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.boolean("LLMRING_HSTS_SUBDOMAINS", False)
if BEHIND_TLS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 31_536_000
# Proxies whose X-Forwarded-For is trusted; without any, the connection's own address counts.
TRUSTED_PROXIES = env_addresses.networks("LLMRING_TRUSTED_PROXIES")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BEHIND_TLS
# W008: no redirect to https, since clients may lose the body of a redirected POST.
# W005, W021: subdomains and preload lists are the operator's decision.
# templates.W003: core.preserved_filters replaces Django's library of that name on purpose.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W008", "security.W021", "templates.W003"]
MAX_BODY_BYTES = env.integer("LLMRING_MAX_BODY_BYTES", 10_485_760, minimum=1024, maximum=_MAX_BYTES)
MAX_METADATA_BYTES = env.integer("LLMRING_MAX_METADATA_BYTES", 65_536, minimum=1024)
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2_000  # the admin's actions name up to 1,000 rows

OWN_APPS = [
    "accounts",
    "registry_proxy",
    "usage",
    "templates_app",
    "conversations",
    "aliases",
    "receipts",
    "mcp",
    "gateway",
]
INSTALLED_APPS = [
    "llmring_site",  # first: its templates override those of other apps
    "core",
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "corsheaders",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    *OWN_APPS,
]
# They add the headers of every reply, including those of the edge.
HEADER_MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "core.middleware.NoStoreMiddleware",
    "corsheaders.middleware.CorsMiddleware",  # after those: it answers preflights itself
]
MIDDLEWARE = [
    "core.middleware.RequestMiddleware",  # outermost: every reply gets its request id
    *HEADER_MIDDLEWARE,
    "core.middleware.RequestChecksMiddleware",
    "accounts.middleware.PublicLimitMiddleware",
    "core.compression.CompressionMiddleware",
    "llmring_site.static_files.StaticFilesMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "core.error_pages.NotAllowedMiddleware",
]
ROOT_URLCONF = "llmring_site.urls"
WSGI_APPLICATION = "llmring_site.wsgi.application"
APPEND_SLASH = False  # both spellings are routed; a redirect would lose a POST's body
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "libraries": {"admin_urls": "core.preserved_filters"},
        },
    }
]
STATIC_URL = f"{FORCE_SCRIPT_NAME or ''}/static/"
STATIC_ROOT = DATA_DIR / "static"  # llmring_site/static_files.py fills it
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "llmring_site.static_files.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True  # plain names are served from the packages
WHITENOISE_AUTOREFRESH = DEBUG
WHITENOISE_ALLOW_ALL_ORIGINS = False  # but those of LLMRING_CORS_ORIGINS, as everywhere

DATABASE_URL = env.secret_line("LLMRING_DATABASE_URL")
DATABASE_SCHEMA = env.identifier("LLMRING_DATABASE_SCHEMA", "llmring")
# Named after the first schema, so that two deployments can share a database.
MCP_SCHEMA = "mcp_client" if DATABASE_SCHEMA == "llmring" else f"{DATABASE_SCHEMA}_mcp_client"
STATEMENT_TIMEOUT_SECONDS = env.integer("LLMRING_STATEMENT_TIMEOUT", 5, minimum=1, maximum=3600)
DATABASE_CONNECTIONS = env.integer(
    "LLMRING_DATABASE_POOL_SIZE", 20, minimum=1, maximum=10_000
) + env.integer("LLMRING_DATABASE_POOL_OVERFLOW", 10, minimum=0, maximum=10_000)
# Those that this process may use: a container or a service may be held to some of them.
_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
WORKERS = env.integer(
    "LLMRING_WORKERS",
    min(_CORES or 1, max_workers(DATABASE_CONNECTIONS)),
    minimum=1,
    maximum=64,
)
DATABASES = {
    "default": database_settings(
        url=DATABASE_URL,
        data_dir=DATA_DIR,
        schemas=[DATABASE_SCHEMA, MCP_SCHEMA],
        connections=DATABASE_CONNECTIONS,
        workers=WORKERS,
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env_addresses.redis_url("LLMRING_REDIS_URL")
REDIS_TIMEOUT_SECONDS = 0.5  # to connect, and for each answer
if REDIS_URL:
    CACHES = {
        "default": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": REDIS_URL,
            "KEY_PREFIX": DATABASE_SCHEMA,
            "OPTIONS": {
                "REDIS_CLIENT_CLASS": "core.redis_client.Client",
                "SOCKET_CONNECT_TIMEOUT": REDIS_TIMEOUT_SECONDS,
                "SOCKET_TIMEOUT": REDIS_TIMEOUT_SECONDS,
                "IGNORE_EXCEPTIONS": True,  # a lost cache costs time, not correctness
            },
        }
    }
else:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
CACHE_TTL_SECONDS = env.integer("LLMRING_CACHE_TTL", 3600, minimum=1, maximum=31_536_000)

ADMIN_USER = env.text("ADMIN_USER", "admin", max_length=150)
ADMIN_PASSWORD = env.secret_line("ADMIN_PASSWORD")
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.passwords.PasswordBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "accounts.people.password_validators.MaximumLengthValidator"},
]
SESSION_ENGINE = "accounts.sessions"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "admin:index"  # for the admin's login: unfold's page sends no `next`
REGISTRATION = env.choice("LLMRING_REGISTRATION", "open", ["open", "invited", "closed"])
REQUIRE_EMAIL_VERIFICATION = env.boolean("LLMRING_REQUIRE_EMAIL_VERIFICATION", False)
# The tier of projects that people create. "none", or a missing "free": no limits.
ACCOUNT_TIER = env.text("LLMRING_ACCOUNT_TIER", "free", max_length=50)
# Without a mail server, mails are printed: the operator can pass links on.
EMAIL_BACKEND, EMAIL_OPTIONS = env_addresses.email_url("LLMRING_EMAIL_URL")
DEFAULT_FROM_EMAIL = env_addresses.sender("LLMRING_EMAIL_FROM", host=urlsplit(PUBLIC_URL).hostname)
EMAIL_TIMEOUT = 10  # seconds
# `url` is for GitHub Enterprise, and for the providers of tests.
OAUTH_PROVIDERS = {
    "google": {
        "client_id": env.text("LLMRING_GOOGLE_CLIENT_ID"),
        "client_secret": env.token("LLMRING_GOOGLE_CLIENT_SECRET"),
        "url": env_addresses.base_url("LLMRING_GOOGLE_URL", ""),
    },
    "github": {
        "client_id": env.text("LLMRING_GITHUB_CLIENT_ID"),
        "client_secret": env.token("LLMRING_GITHUB_CLIENT_SECRET"),
        "url": env_addresses.base_url("LLMRING_GITHUB_URL", ""),
    },
}
CSRF_FAILURE_VIEW = "core.error_pages.csrf_failure"

API_KEY_VALIDATION_MODE = env.choice(
    "LLMRING_API_KEY_VALIDATION_MODE", "bridge", ["bridge", "strict"]
)
# Accepted for old deployments; membership is always checked.
env.boolean("LLMRING_ENFORCE_MEMBERSHIP_VERIFICATION", True)
DEFAULT_TIER = env.text("LLMRING_DEFAULT_TIER", max_length=50)  # of projects of unknown keys
# For each address; 0: no limit.
NEW_PROJECTS_PER_MINUTE = env.integer("LLMRING_NEW_PROJECTS_PER_MINUTE", 1_000, minimum=0)
PUBLIC_REQUESTS_PER_MINUTE = env.integer("LLMRING_PUBLIC_REQUESTS_PER_MINUTE", 0, minimum=0)
ENCRYPTION_KEYS = env.secret_keys("LLMRING_ENCRYPTION_KEY")
# Opens the management API (/manage). The name is llm-proxy's.
MANAGEMENT_TOKEN = env.token("MANAGEMENT_TOKEN")

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.ApiKeyAuthentication",
        "accounts.authentication.ProjectSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.authentication.HasApiKey"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],  # core/parsing.py parses
    "DEFAULT_RENDERER_CLASSES": ["core.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "core.renderers.AlwaysJSON",
    "DEFAULT_SCHEMA_CLASS": "core.openapi.AutoSchema",
    "DEFAULT_METADATA_CLASS": "core.renderers.Metadata",
    "EXCEPTION_HANDLER": "core.errors.exception_handler",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "LLMRing Server",
    "VERSION": VERSION,
    "LICENSE": {"name": "MIT", "identifier": "MIT"},
    "OAS_VERSION": "3.1.0",  # pydantic writes `null` as a type
    "DESCRIPTION": "Usage, costs, receipts and history of LLM calls. Send your key as `X-API-Key`, "
    "or as `X-Project-Key` or `Authorization: Bearer`. Every path is served with and without a "
    "trailing slash, those of conversations also without `/api/v1`.",
    "SWAGGER_UI_SETTINGS": {
        "deepLinking": True,
        "persistAuthorization": True,  # templates/drf_spectacular/swagger_ui.html says so
        "filter": True,
        "displayRequestDuration": True,
        "validatorUrl": None,  # its badge is loaded from another host
    },
    "SERVE_INCLUDE_SCHEMA": False,
    "DEFAULT_GENERATOR_CLASS": "core.openapi.DocumentGenerator",
    "SERVERS": [{"url": FORCE_SCRIPT_NAME or "/"}],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "RoleEnum": "accounts.models.Role",
        "MessageRoleEnum": "core.chat_messages.ROLES",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "core.openapi.with_one_spelling",
        "core.openapi_errors.with_common_errors",
        "gateway.openapi.with_token_info",
    ],
}
CORS_ORIGINS = env_addresses.origins(
    "LLMRING_CORS_ORIGINS", ["http://localhost:5173", "http://localhost:5174", "*"]
)
CORS_ALLOW_ALL_ORIGINS = "*" in CORS_ORIGINS
CORS_ALLOWED_ORIGINS = [origin for origin in CORS_ORIGINS if "*" not in origin]
CORS_ALLOWED_ORIGIN_REGEXES = [
    re.escape(origin).replace(r"\*", r"[a-z0-9.-]+") + r"\Z"
    for origin in CORS_ORIGINS
    if "://*." in origin
]
CORS_ALLOW_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
CORS_ALLOW_HEADERS = [
    "Accept",
    "Accept-Language",
    "Content-Language",
    "Content-Type",
    "Authorization",
    "Idempotency-Key",
    "If-None-Match",
    "Mcp-Method",
    "Mcp-Name",
    "Mcp-Protocol-Version",
    "X-API-Key",
    "X-Project-Key",
    "X-Request-ID",
]
CORS_EXPOSE_HEADERS = [
    "ETag",
    "Retry-After",
    "X-Corrected-By",
    "X-Alias-Revision",
    "X-Next-Cursor",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "X-Request-ID",
]
CORS_PREFLIGHT_MAX_AGE = 600  # seconds
# Wrong tokens are counted by address: other sites could lock out that of their visitors.
CORS_URLS_REGEX = r"(?!/manage(/|$))"

REGISTRY_BASE_URL = env_addresses.base_url(
    "LLMRING_REGISTRY_BASE_URL", "https://llmring.github.io/registry/"
)
REGISTRY_TIMEOUT = env.integer("LLMRING_REGISTRY_TIMEOUT", 10, minimum=1, maximum=300)  # seconds
EGRESS = env.choice("LLMRING_EGRESS", "private", ["private", "public"])
# Files of trusted certificates, by names that other programs read too.
CA_BUNDLE = env.existing_path("REQUESTS_CA_BUNDLE") or env.existing_path("SSL_CERT_FILE") or True

RECEIPTS_PRIVATE_KEY = env.secret("LLMRING_RECEIPTS_PRIVATE_KEY_B64")
RECEIPTS_PUBLIC_KEY = env.text("LLMRING_RECEIPTS_PUBLIC_KEY_B64")
RECEIPTS_KEY_ID = env.text("LLMRING_RECEIPTS_KEY_ID")
RECEIPTS_RETIRED_KEYS = env.string_list("LLMRING_RECEIPTS_RETIRED_KEYS")
CONVERSATION_TRACKING = env.boolean("LLMRING_ENABLE_CONVERSATION_TRACKING", True)
MESSAGE_LOGGING_LEVEL = env.choice(
    "LLMRING_MESSAGE_LOGGING_LEVEL", "full", ["none", "metadata", "full"]
)
MESSAGE_RETENTION_DAYS = env.integer("LLMRING_MESSAGE_RETENTION_DAYS", 30, minimum=0)
MCP_EXECUTE = env.boolean("LLMRING_MCP_EXECUTE", True)
MCP_STDIO_COMMANDS = env.string_list("LLMRING_MCP_STDIO_COMMANDS")
MCP_PIN_TOOLS = env.boolean("LLMRING_MCP_PIN_TOOLS", False)
# Shorter than the 30 seconds after which the client library gives up.
MCP_TIMEOUT = env.integer("LLMRING_MCP_TIMEOUT", 25, minimum=1, maximum=600)  # seconds
# Seconds, for a call that reports progress.
MCP_MAX_TIMEOUT = env.integer("LLMRING_MCP_MAX_TIMEOUT", 300, minimum=1, maximum=3600)
MCP_REFRESH_MINUTES = env.integer("LLMRING_MCP_REFRESH", 15, minimum=0, maximum=10_080)  # 0: off
MCP_CONCURRENCY = env.integer("LLMRING_MCP_CONCURRENCY", 16, minimum=1, maximum=64)

OPENAI_API_KEY = env.token("OPENAI_API_KEY")
OPENAI_API_URL = env_addresses.base_url("OPENAI_API_URL", "https://api.openai.com")
API_CONFIG_PATH = env.text("API_CONFIG_PATH")
if not API_CONFIG_PATH and Path("config/api_providers.yaml").is_file():
    API_CONFIG_PATH = "config/api_providers.yaml"
DEFAULT_API_PROVIDER = env.text("DEFAULT_API_PROVIDER")
GATEWAY_CONCURRENCY = env.integer("LLMRING_GATEWAY_CONCURRENCY", 1000, minimum=1)  # of a worker
GATEWAY_MAX_BODY_BYTES = env.integer(
    "LLMRING_GATEWAY_MAX_BODY_BYTES", 104_857_600, minimum=1024, maximum=_MAX_BYTES
)
# Whether tokens with a budget may call models whose cost has no known bound.
GATEWAY_UNBOUNDED = env.boolean("LLMRING_GATEWAY_UNBOUNDED", False)

# Cached answers (gateway/response_cache.py). The names are llm-proxy's.
GATEWAY_CACHE = env.boolean("HTTP_CACHE_ENABLED", True)
GATEWAY_CACHE_DEFAULT_SECONDS = env.integer("HTTP_CACHE_DEFAULT_TTL", 300, minimum=0)
GATEWAY_CACHE_MAX_OBJECT_BYTES = env.integer(
    "HTTP_CACHE_MAX_OBJECT_BYTES", 1_048_576, minimum=0, maximum=64 * 2**20
)
GATEWAY_CACHE_MEGABYTES = env.integer("LLMRING_GATEWAY_CACHE_MB", 256, minimum=1, maximum=2**30)

LOG_LEVEL = env.choice("LLMRING_LOG_LEVEL", "info", ["debug", "info", "warning", "error"])
LOG_FORMAT = env.choice("LLMRING_LOG_FORMAT", "console", ["console", "json"])
ACCESS_LOG = env.boolean("LLMRING_ACCESS_LOG", False)
# The server's log, and a line for each call of the gateway. The names are llm-proxy's.
LOG_FILE = env.writable_file("LOG_FILE")
LOG_MAX_SIZE_MB = env.integer("LOG_MAX_SIZE_MB", 10, minimum=1, maximum=10_000)
LOG_MAX_BACKUPS = env.integer("LOG_MAX_BACKUPS", 5, minimum=1, maximum=100)
LOGGING = logging_settings(
    level=LOG_LEVEL,
    format=LOG_FORMAT,
    file=LOG_FILE,
    max_bytes=LOG_MAX_SIZE_MB * 1024 * 1024,
    backups=LOG_MAX_BACKUPS,
)
ENABLE_METRICS = env.boolean("ENABLE_METRICS", True)
METRICS_PATH = env_addresses.url_path("METRICS_PATH", "/metrics")
LANGUAGE_CODE = "en-us"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"
FORMAT_MODULE_PATH = "llmring_site.formats"

UNFOLD = {
    "SITE_TITLE": "LLMRing Server",
    "SITE_HEADER": "LLMRing Server",
    "SITE_URL": f"{FORCE_SCRIPT_NAME or ''}/",
    "SITE_SYMBOL": "receipt_long",
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda request: static("core/icon.svg"),
        }
    ],
    "SHOW_HISTORY": False,
    "LOGIN": {"form": "accounts.people.forms.AdminLoginForm"},
    "STYLES": [
        lambda request: static("core/charts.css"),
        lambda request: static("core/lists.css"),
        lambda request: static("core/contrast.css"),
        lambda request: static("core/keyboard.css"),
    ],
    "SCRIPTS": [
        lambda request: static("core/keyboard.js"),
        lambda request: static("core/labels.js"),
    ],
    "ACCOUNT": {"navigation": "llmring_site.pages.sidebar.account_links"},
    "DASHBOARD_CALLBACK": "llmring_site.dashboard.page.add_dashboard",
    "SIDEBAR": {
        "show_search": True,
        "show_all_applications": False,
        "navigation": "llmring_site.navigation.sidebar",
    },
}
