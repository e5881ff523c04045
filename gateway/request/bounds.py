"""The most that a call can cost, which is reserved before it is made.

Never too low, so that a budget holds: a prompt has at most as many tokens as its text
has bytes, or as the model's context holds where parts of it are stored upstream; the answer has
what the request allows, for each of its choices, at the highest price that can apply.
Source: docs/gateway.md, section "Budgets".
"""

import math
from collections.abc import Collection, Mapping
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from gateway import errors
from gateway.protocols.protocol import Endpoint
from gateway.request import model_rules, prompt_sources
from gateway.request.json_objects import objects_in
from gateway.request.numbers import read_number
from registry_proxy import pricing
from registry_proxy.pricing import Ceiling
from usage.reports.report import THINKING_BEYOND_LIMIT
from usage.reports.reported_usage import as_modifiers

_STANDARD_TIERS = (None, "default")
# The operator may pay more for it than for the standard.
_FLEX = "flex"
_DEAREST_TIER = "priority"
_AGENTS = "multi_agent"  # each has a prompt of its own
# Those of llama.cpp, in which its own overrule OpenAI's.
_CHOICES = ("n", "best_of", "n_cmpl")
_OVERRULING_LIMITS = ("n_predict",)
# What these providers' models think may not count toward the old name of a chat's limit.
# Source: Alibaba Cloud, "API compatibility upgrades" (November 2026).
_OLD_LIMIT, _NEW_LIMIT = "max_tokens", "max_completion_tokens"
_THINKING_BEYOND_OLD_LIMIT = THINKING_BEYOND_LIMIT | {
    *("alibaba", "alibaba-cloud", "alibabacloud", "aliyun", "dashscope", "qwen")
}
# Members of Anthropic's, which other gateways pass on, by which a call may be dearer; and their
# values by which it is not.
_DEARER = {"speed": "standard", "inference_geo": "global"}
_COUNTED_MEMBERS = frozenset(
    {*_CHOICES, *_OVERRULING_LIMITS, "service_tier", "modalities", _AGENTS, *_DEARER}
)
# What it holds some servers take for members of the request itself.
_MERGED = "extra_body"
_HEARING, _SPEAKING = "transcriptions", "speech"
_MEDIA = {"images": "image", _SPEAKING: "audio"}  # what these endpoints put out
# Upstreams explain tools to a model in words of their own: Anthropic in up to 530 tokens.
_TOOLS_PROMPT = 1_000
_MILLION = 1_000_000
_MAX_BOUND = Decimal(10) ** 20  # dollars: over any budget, and within the column


class _Use(NamedTuple):
    """The most that a request can use, of any model.

    `fills_context`: parts of its prompt are not in its body; there are as many of them as
    `prompts` says. The model reads all of it `readings` times, and may then write as much as it
    can if the request does not limit the `answer` (None). It may search as often as `searches`
    says, None where nobody limits them; if it does not ask for that, a model that searches by
    itself may as often as `tool_calls` says. What it has or asks for beside text is of the
    token classes `media`.
    """

    prompt: int
    fills_context: bool
    prompts: int
    readings: int
    searches: int | None
    tool_calls: int | None
    answer: int | None
    choices: int
    media: set[str]


def bound(
    body: dict[str, Any],
    *,
    size: int,
    endpoint: Endpoint,
    provider: str,
    model: str,
    default_output: int | None,
    default_tool_calls: int | None,
    price_terms: Mapping[str, str],
    project_id: UUID,
) -> Decimal:
    """Return the most US dollars that a call can cost. Raises Unbounded where nobody can say.

    `size` is that of its body in bytes. `default_output` is the operator's limit for
    models whose limit the registry does not have, `default_tool_calls` that of the upstream's
    own tools, for requests that do not limit them. `price_terms` may change the price.
    """
    _check(body, endpoint)
    use = _use(body, size, endpoint, provider, default_tool_calls)
    most = Decimal(0)
    # Any of the models that a request names may serve it.
    others = (name for name in model_rules.named_in_body(body) if name != model)
    for name in (model, *others):
        ceiling = _ceiling(
            provider, name, body.get("service_tier"), terms=price_terms, project_id=project_id
        )
        model_use = _use_of(name, use)
        most = max(most, _cost(name, model_use, ceiling, endpoint, default_output))
    return min(most, _MAX_BOUND)


def unbounded(reason: str, *, param: str | None) -> errors.Unbounded:
    """Return the refusal of a call, with the member that is at fault."""
    return errors.Unbounded(f"{reason}, and the token has a budget", param=param)


def _check(body: dict[str, Any], endpoint: Endpoint) -> None:
    """Raise Unbounded for members that nobody can count."""
    counted = _COUNTED_MEMBERS.union(endpoint.answer_limits, filter(None, [endpoint.tool_limit]))
    read = counted | prompt_sources.READ_MEMBERS
    for name in body:
        # Servers written in Go take the names of members in any case.
        if name not in read and name.casefold() in read:
            known = name.casefold()
            raise unbounded(f"Some servers read {name!r} as {known!r}", param=name)
    for part in objects_in(body.get(_MERGED)):
        for name in part:
            if name.casefold() in counted:
                reason = f"Some servers read {name!r} of {_MERGED!r} as the request's own"
                raise unbounded(reason, param=_MERGED)
    if body.get(model_rules.PRESET):
        raise unbounded("The models of a preset are not known", param=model_rules.PRESET)
    if endpoint.name == _HEARING:
        # And have a price by the second.
        raise unbounded("A recording given by its name may be of any length", param="file")
    for name, usual in _DEARER.items():
        value = body.get(name)
        # That of speech is a number.
        if isinstance(value, str) and value != usual and read_number(value) is None:
            raise unbounded(f"The price of this {name} is not known in advance", param=name)
    if _has_agents(body.get(_AGENTS)):
        raise unbounded("Nothing limits the agents that a model creates", param=_AGENTS)


def _use(
    body: dict[str, Any],
    size: int,
    endpoint: Endpoint,
    provider: str,
    default_tool_calls: int | None,
) -> _Use:
    sources = prompt_sources.read(body)
    if sources.may_make_pictures:
        raise unbounded("Nothing limits the pictures that a tool makes", param="tools")
    if sources.opens_containers:
        raise unbounded("No answer states what the container of a tool costs", param="tools")
    tool_calls = _tool_calls(body, endpoint, default_tool_calls)
    has_tools = body.get("tools") or body.get("functions")
    return _Use(
        prompt=size + (_TOOLS_PROMPT if has_tools else 0),
        fills_context=sources.lies_upstream,
        prompts=_count(body.get("prompt" if endpoint.has_answer else "input")),
        readings=1 + (tool_calls or 0) if sources.may_run_tools else 1,
        searches=tool_calls if sources.may_search else 0,
        tool_calls=tool_calls,
        answer=_allowed_answer(body, _answer_limits(endpoint, provider)),
        choices=_choices(body),
        media=_media(body, endpoint, has_audio=sources.has_audio),
    )


def _use_of(model: str, use: _Use) -> _Use:
    """Return what a request can use of one model."""
    is_searching = prompt_sources.searches_unasked(model)
    return use._replace(searches=use.tool_calls) if is_searching else use


def _has_agents(agents: Any) -> bool:
    return bool(agents.get("enabled", True) if isinstance(agents, dict) else agents)


def allowed_output(body: dict[str, Any], endpoint: Endpoint) -> int | None:
    """Return how many tokens a request allows for all its choices; None: it does not say."""
    answer = _allowed_answer(body, endpoint.answer_limits)
    return answer and answer * _choices(body)


def _answer_limits(endpoint: Endpoint, provider: str) -> Collection[str]:
    """Return the members that limit all that a provider's model writes, thoughts included."""
    limits = endpoint.answer_limits
    if _NEW_LIMIT in limits and provider.casefold() in _THINKING_BEYOND_OLD_LIMIT:
        return [name for name in limits if name != _OLD_LIMIT]
    return limits


def _allowed_answer(body: dict[str, Any], limits: Collection[str]) -> int | None:
    names = (*limits, *_OVERRULING_LIMITS)
    values = [body[name] for name in names if body.get(name) is not None]
    numbers = [number for value in values if (number := read_number(value))]
    if not numbers or len(numbers) < len(values) or any(number % 1 for number in numbers):
        return None  # what only the upstream can read: -1 is "no limit" to some
    return int(max(numbers))


def _tool_calls(body: dict[str, Any], endpoint: Endpoint, default: int | None) -> int | None:
    """Return how often the upstream may run its own tools; None unless the operator limits it."""
    if default is None or endpoint.tool_limit is None:
        return default
    allowed = read_number(body.get(endpoint.tool_limit))
    return default if allowed is None or allowed % 1 else int(allowed)


def _choices(body: dict[str, Any]) -> int:
    each = max(math.ceil(read_number(body.get(name)) or 1) for name in _CHOICES)
    return each * _count(body.get("prompt"))


def _count(prompt: Any) -> int:
    """Return how many prompts there are. A list of token numbers is one."""
    if isinstance(prompt, list) and any(type(item) is not int for item in prompt):
        return len(prompt)
    return 1


def _media(body: dict[str, Any], endpoint: Endpoint, *, has_audio: bool) -> set[str]:
    asked = body.get("modalities") or []
    kinds = {str(kind).casefold() for kind in (asked if isinstance(asked, list) else [asked])}
    if endpoint.name in _MEDIA:
        kinds.add(_MEDIA[endpoint.name])
    media = {f"{kind}_output" for kind in kinds - {"text"}}
    return media | {"audio_input"} if has_audio else media


def _ceiling(
    provider: str, model: Any, tier: Any, *, terms: Mapping[str, str], project_id: UUID
) -> Ceiling:
    """Return the highest prices of a model; at a tier other than the standard, of the dearest."""
    if model == "":
        raise unbounded("The request names no model", param="model")
    if not isinstance(model, str):
        raise unbounded("A model must be named by a string", param=None)
    find = partial(pricing.ceiling, provider, model, terms=terms, project_id=project_id)
    if ceiling := find(service_tiers=_possible_tiers(tier)):
        return ceiling
    if (standard := find()) is None:
        raise unbounded(f"The model {model[:200]!r} has no known price", param="model")
    if isinstance(tier, str) and (tier == _FLEX or not as_modifiers(service_tier=tier)):
        # "auto": for a model without other tiers it can only mean the standard.
        return standard
    reason = f"The model {model[:200]!r} has no known price at this tier"
    raise unbounded(reason, param="service_tier")


def _possible_tiers(tier: Any) -> Collection[str]:
    if tier in _STANDARD_TIERS:
        return ()
    return {_FLEX} if tier == _FLEX else {_DEAREST_TIER, str(tier).casefold()}


def _cost(
    model: str, use: _Use, ceiling: Ceiling, endpoint: Endpoint, default_output: int | None
) -> Decimal:
    named = f"The model {model[:200]!r}"
    if unpriced := use.media - ceiling.prices.keys():
        kinds = ", ".join(sorted(unpriced))[:200]
        raise unbounded(f"{named} has no known price for {kinds}", param="model")
    prompt = use.prompt
    if use.fills_context:
        if ceiling.context is None:
            raise unbounded(f"{named} may read content of any length from elsewhere", param="model")
        prompt = ceiling.context * use.prompts * use.readings
    cost = prompt * ceiling.input
    if ceiling.units and (use.searches != 0 or use.media or endpoint.name == _SPEAKING):
        if use.searches is None or ceiling.units.keys() != {"web_searches"}:
            units = ", ".join(sorted(ceiling.units))[:200]
            raise unbounded(f"{named} is billed by {units}, which nothing limits", param="model")
        cost += use.searches * ceiling.units["web_searches"]
    if endpoint.has_answer:
        answer = _answer(use.answer, ceiling, default_output)
        if ceiling.output is None:
            raise unbounded(f"{named} has no known price for answers", param="model")
        if answer is None:
            raise unbounded(f"{named} has no known limit for answers", param="model")
        readings = use.readings if use.answer is None else 1
        cost += answer * readings * use.choices * ceiling.output
    return cost / _MILLION


def _answer(allowed: int | None, ceiling: Ceiling, default: int | None) -> int | None:
    if ceiling.max_output_tokens is None:
        return default and (allowed or default)
    # The registry's limits are rounded, by less than a tenth. What is far above them is refused
    # upstream, and must not hold the budget.
    most = ceiling.max_output_tokens
    return allowed if allowed and allowed <= most * 11 // 10 else most
