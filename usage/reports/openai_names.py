"""Names of the parts of prompt and completion, of all who count as OpenAI does."""

PROMPT_DETAILS = (
    "prompt_tokens_details",
    "input_tokens_details",
    "input_token_details",  # transcriptions and Realtime
    "prompt_token_details",  # Mistral
    "inputTokenDetails",  # Vercel's AI SDK
)
COMPLETION_DETAILS = (
    "completion_tokens_details",
    "output_tokens_details",
    "output_token_details",
    "outputTokenDetails",
)
# Tiers that LangChain puts in front of the names of the details: `flex_cache_read`.
TIERS = ("flex", "priority")
# Beside the detail of OpenAI, LangChain and the AI SDK: DeepSeek, Moonshot, Mistral, LiteLLM,
# Codex, the AI SDK again, Pydantic AI, CrewAI, and Braintrust with Browser Use.
CACHE_READ_DETAILS = (
    "cached_tokens",
    "cache_read",
    "cacheReadTokens",
    "cache_read_input_tokens",  # Perplexity's agents
    *(f"{tier}_cache_read" for tier in TIERS),
)
CACHE_READS = (
    "prompt_cache_hit_tokens",
    "cached_tokens",
    "num_cached_tokens",
    "cache_read_input_tokens",
    "cached_input_tokens",
    "cachedInputTokens",
    "cache_read_tokens",
    "cached_prompt_tokens",
    "prompt_cached_tokens",
)
CACHE_WRITE_DETAILS = (
    "cache_write_tokens",
    "cache_creation_tokens",
    "cache_creation_input_tokens",  # Qwen
    "cacheWriteTokens",
)
CACHE_WRITES = (
    "cache_creation_input_tokens",
    "cache_write_tokens",
    "prompt_cache_creation_tokens",  # Braintrust, Browser Use
)
THINKING_DETAILS = (
    "reasoning_tokens",
    "thinking_tokens",
    "reasoning",
    "reasoningTokens",
    *(f"{tier}_reasoning" for tier in TIERS),
)
THINKING = (
    "reasoning_tokens",
    "reasoning_output_tokens",
    "reasoningTokens",
    "completion_reasoning_tokens",  # Braintrust
)
# Members by which Pydantic AI's usage differs from Anthropic's, which has `input_tokens` too.
PYDANTIC_AI_MEMBERS = ("cache_read_tokens", "cache_write_tokens")
AUDIO = ("audio_tokens", "audio")
