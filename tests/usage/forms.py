"""The same tokens in every form that can express them, as reports for `POST /log`."""

from dataclasses import asdict

from registry_proxy.tokens import Tokens


def forms_of(tokens: Tokens) -> dict[str, dict]:
    """Return the forms of text tokens by name, each with what it can express."""
    forms = {
        "flat": _flat(tokens),
        "flat, parts beside": _flat_beside(tokens),
        "Anthropic": _anthropic(tokens),
        "Bedrock": _bedrock(tokens),
    }
    if not tokens.cache_write_5m + tokens.cache_write_1h:
        forms |= {"OpenAI Chat": _chat(tokens), "OpenAI Responses": _responses(tokens)}
        forms["xAI"] = _xai(tokens)
    if tokens.prompt == tokens.input + tokens.cache_read:
        forms |= {"DeepSeek": _deepseek(tokens), "Gemini": _gemini(tokens)}
    if tokens.thinking:
        # Converse does not say how much of the output was thinking.
        del forms["Bedrock"]
    return forms


def _class_members(tokens: Tokens) -> dict[str, int]:
    return {
        "cached_input_tokens": tokens.cache_read,
        **{
            f"{name}_tokens": count
            for name, count in asdict(tokens).items()
            if name not in ("input", "output", "cache_read")
        },
    }


def _flat(tokens: Tokens) -> dict:
    totals = {"input_tokens": tokens.prompt, "output_tokens": tokens.completion}
    return totals | _class_members(tokens)


def _flat_beside(tokens: Tokens) -> dict:
    return {
        "input_tokens": tokens.input,
        "output_tokens": tokens.output,
        "input_includes_cache": False,
        "output_includes_thinking": False,
        **_class_members(tokens),
    }


def _chat(tokens: Tokens) -> dict:
    return {
        "usage": {
            "prompt_tokens": tokens.prompt,
            "completion_tokens": tokens.completion,
            "total_tokens": tokens.prompt + tokens.completion,
            "prompt_tokens_details": {
                "cached_tokens": tokens.cache_read,
                "cache_write_tokens": tokens.cache_write,
            },
            "completion_tokens_details": {"reasoning_tokens": tokens.thinking},
        }
    }


def _responses(tokens: Tokens) -> dict:
    return {
        "usage": {
            "input_tokens": tokens.prompt,
            "input_tokens_details": {
                "cached_tokens": tokens.cache_read,
                "cache_write_tokens": tokens.cache_write,
            },
            "output_tokens": tokens.completion,
            "output_tokens_details": {"reasoning_tokens": tokens.thinking},
            "total_tokens": tokens.prompt + tokens.completion,
        }
    }


def _xai(tokens: Tokens) -> dict:
    report = _chat(tokens)
    report["usage"]["completion_tokens"] = tokens.output
    return report


def _deepseek(tokens: Tokens) -> dict:
    report = _chat(tokens)
    del report["usage"]["prompt_tokens_details"]
    report["usage"]["prompt_cache_hit_tokens"] = tokens.cache_read
    report["usage"]["prompt_cache_miss_tokens"] = tokens.input
    return report


def _anthropic(tokens: Tokens) -> dict:
    written = tokens.cache_write_5m + tokens.cache_write_1h + tokens.cache_write
    return {
        "usage": {
            "input_tokens": tokens.input,
            "cache_creation_input_tokens": written,
            "cache_read_input_tokens": tokens.cache_read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": tokens.cache_write_5m,
                "ephemeral_1h_input_tokens": tokens.cache_write_1h,
            },
            "output_tokens": tokens.completion,
            "output_tokens_details": {"thinking_tokens": tokens.thinking},
        }
    }


def _bedrock(tokens: Tokens) -> dict:
    return {
        "usage": {
            "inputTokens": tokens.input,
            "outputTokens": tokens.completion,
            "totalTokens": tokens.prompt + tokens.completion,
            "cacheReadInputTokens": tokens.cache_read,
            "cacheWriteInputTokens": tokens.prompt - tokens.input - tokens.cache_read,
            "cacheDetails": [
                {"ttl": "5m", "inputTokens": tokens.cache_write_5m},
                {"ttl": "1h", "inputTokens": tokens.cache_write_1h},
            ],
        }
    }


def _gemini(tokens: Tokens) -> dict:
    """Write the counts as the API does: those that are 0 are left out."""
    counts = {
        "promptTokenCount": tokens.prompt,
        "cachedContentTokenCount": tokens.cache_read,
        "candidatesTokenCount": tokens.output,
        "thoughtsTokenCount": tokens.thinking,
        "totalTokenCount": tokens.prompt + tokens.completion,
    }
    stated = {name: count for name, count in counts.items() if count}
    return {"usage": {"promptTokenCount": tokens.prompt} | stated}
