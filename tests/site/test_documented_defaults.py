"""The README's table has the defaults that settings.py passes to its readers."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def documented() -> dict[str, str]:
    rows = re.findall(r"^\| `([A-Z0-9_]+)` \| (.*?) ?\|", (ROOT / "README.md").read_text(), re.M)
    return {name: default.strip("`") for name, default in rows}


def read() -> dict[str, str]:
    """Return the defaults, but for those that are computed, as the table writes them."""
    calls = (
        node
        for node in ast.walk(ast.parse((ROOT / "llmring_site" / "settings.py").read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("env")
    )
    defaults = {}
    for call in calls:
        match call.args:
            case [ast.Constant(name)]:
                defaults[name] = ""
            case [ast.Constant(name), ast.Constant(bool() as is_on), *_]:
                defaults[name] = "on" if is_on else "off"
            case [ast.Constant(name), ast.Constant(default), *_]:
                defaults[name] = str(default)
    return defaults


# Where the table says in words what the default stands for.
IN_WORDS = {
    "API_CONFIG_PATH": "`config/api_providers.yaml` if it exists",
    "DEFAULT_API_PROVIDER": "`default_api` of that file, `openai`",
    "LLMRING_EMAIL_FROM": "`LLMRing <noreply@host>`",
    "LLMRING_GITHUB_URL": "GitHub's",
    "LLMRING_GOOGLE_URL": "Google's",
    "LLMRING_REGISTRY_BASE_URL": "the public registry",
    "LLMRING_SECRET_KEY": "created in the data directory",
    "LLMRING_ENCRYPTION_KEY": "created in the data directory",
    "ADMIN_PASSWORD": "random, printed once",
}


def test_documented_defaults_are_those_of_the_settings():
    table, defaults = documented(), read()
    assert len(defaults) > 60
    expected = {name: IN_WORDS.get(name, default).strip("`") for name, default in defaults.items()}
    different = {
        name: (table.get(name), default)
        for name, default in expected.items()
        if name in table and table[name] != default
    }
    assert different == {}
