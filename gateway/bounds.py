"""The most that a call can cost, which is reserved before it is made.

Never too low, so that a budget holds: a prompt has at most as many tokens as its text
has bytes, or as the model's context holds where parts of it lie upstream; the answer has
what the request allows, for each of its choices, at the highest price that can apply.
Source: docs/gateway.md, section "Budgets".
"""

from decimal import Decimal
from typing import Any

from registry_proxy import pricing
from registry_proxy.pricing import Ceiling

_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
# The registry's limits are rounded; a request this little above one is meant.
_TOLERANCE = Decimal("1.1")
# Members that bring in text which the body does not hold.
_UPSTREAM_MEMBERS = (
    "previous_response_id",
    "conversation",
    "prompt_id",
    "web_search_options",
    "search_parameters",
)
_UPSTREAM_PARTS = frozenset(
    {"image_url", "input_image", "input_file", "file", "input_audio", "video_url", "item_reference"}
)
# Tools that the client runs; the results of others never stand in its body.
_CLIENT_TOOLS = frozenset({"function", "custom"})
_MILLION = 1_000_000


def bound(
    body: dict[str, Any],
    *,
    size: int,
    has_answer: bool,
    provider: str,
    model: str,
    default_output: int | None,
    project_id,
) -> Decimal | None:
    """Return the most US dollars that a call can cost; None where nobody can say.

    `size` is that of its body in bytes. `default_output` is the operator's limit for
    models whose limit the registry does not have.
    """
    tier = body.get("service_tier")
    ceiling = pricing.ceiling(
        provider,
        model,
        # By "auto" the provider may choose the dearest.
        modifiers={"service_tier": "priority"} if tier in ("auto", "priority") else None,
        project_id=project_id,
    )
    if ceiling is None and tier == "auto":
        ceiling = pricing.ceiling(provider, model, project_id=project_id)
    if ceiling is None:
        return None
    prompt = _prompt(body, size, ceiling)
    answer = _answer(body, ceiling, default_output) if has_answer else 0
    if prompt is None or answer is None:
        return None
    return (prompt * ceiling.input + answer * ceiling.output) / _MILLION


def _prompt(body: dict[str, Any], size: int, ceiling: Ceiling) -> int | None:
    return ceiling.max_input_tokens if _has_parts_upstream(body) else size


def _answer(body: dict[str, Any], ceiling: Ceiling, default: int | None) -> int | None:
    limit = ceiling.max_output_tokens or default
    if limit is None:
        return None
    asked = [count for name in _LIMITS if (count := _count(body.get(name))) is not None]
    # What is far above the model's limit is refused upstream, and must not hold the budget.
    allowed = max(asked, default=limit)
    if allowed > limit * _TOLERANCE:
        allowed = limit
    return allowed * _choices(body)


def _choices(body: dict[str, Any]) -> int:
    each = max(_count(body.get("n")) or 1, _count(body.get("best_of")) or 1)
    prompt = body.get("prompt")
    several = isinstance(prompt, list) and prompt and isinstance(prompt[0], str | list)
    return each * len(prompt) if several else each


def _count(value: Any) -> int | None:
    """Return a positive whole number; what is none is the upstream's to refuse."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    return int(value) if value >= 1 and value == int(value) else None


def _has_parts_upstream(body: dict[str, Any]) -> bool:
    if any(body.get(name) for name in _UPSTREAM_MEMBERS) or isinstance(body.get("prompt"), dict):
        return True
    tools = body.get("tools")
    if isinstance(tools, list) and any(tool_type(tool) not in _CLIENT_TOOLS for tool in tools):
        return True
    stack = [body.get("messages"), body.get("input")]
    while stack:
        match stack.pop():
            case dict() as part:
                if part.get("type") in _UPSTREAM_PARTS:
                    return True
                stack += (part.get("content"), part.get("output"))
            case list() as parts:
                stack += parts
    return False


def tool_type(tool: Any) -> str:
    """Return the type of a tool; without one it is a function."""
    return str(tool.get("type", "function")) if isinstance(tool, dict) else "function"
