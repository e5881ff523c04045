"""Names of the parts of prompt and completion, of all who count as OpenAI does."""

PROMPT_DETAILS = (
    "prompt_tokens_details",
    "input_tokens_details",
    "input_token_details",  # transcriptions and Realtime
    "prompt_token_details",  # Mistral
    "inputTokenDetails",  # Vercel's AI SDK
    "promptTokensDetails",  # OpenRouter's SDK for TypeScript
    "inputDetails",  # Mastra
)
COMPLETION_DETAILS = (
    "completion_tokens_details",
    "output_tokens_details",
    "output_token_details",
    "outputTokenDetails",
    "completionTokensDetails",
    "outputDetails",
)
# Tiers that LangChain puts in front of the names of the details: `flex_cache_read`.
TIERS = ("flex", "priority")
# Beside the detail of OpenAI, LangChain and the AI SDK: DeepSeek, Moonshot, Mistral, LiteLLM,
# Codex, the AI SDK again, Pydantic AI, CrewAI, and Braintrust with Browser Use.
CACHE_READ_DETAILS = (
    "cached_tokens",
    "cache_read",
    "cacheReadTokens",
    "cachedTokens",  # OpenRouter's SDK
    "cacheRead",  # Mastra
    "cache_read_input_tokens",  # Perplexity's agents
    "cached_read_tokens",  # Bifrost
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
    "input_cached_tokens",  # OpenAI's sums by day
    "cachedContentTokens",  # Genkit
    "cachedReadTokens",  # Agent Client Protocol, Grok's command line
)
CACHE_WRITE_DETAILS = (
    "cache_write_tokens",
    "cache_creation_tokens",
    "cache_creation_input_tokens",  # Qwen
    "cacheWriteTokens",
    "cacheWrite",
    "cached_write_tokens",  # Bifrost
    "cached_creation_tokens",  # New API
)
CACHE_WRITES = (
    "cache_creation_input_tokens",
    "cache_write_tokens",
    "cache_write_input_tokens",  # Codex, Datadog
    "prompt_cache_creation_tokens",  # Braintrust, Browser Use
    "input_cache_write_tokens",
    "cachedWriteTokens",  # Agent Client Protocol
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
    "thoughtTokens",  # Agent Client Protocol
    "thoughtsTokens",  # Genkit
)
# Members by which Pydantic AI's usage differs from Anthropic's, which has `input_tokens` too.
PYDANTIC_AI_MEMBERS = ("cache_read_tokens", "cache_write_tokens")
# Among the `details` of Pydantic AI's usage, beside OpenAI's name.
THINKING_OF_PYDANTIC_AI = ("reasoning_tokens", "thoughts_tokens", "thinking_tokens")
AUDIO = ("audio_tokens", "audio", "audioTokens")
AUDIO_INPUT = ("input_audio_tokens", "audio_input_tokens")  # the latter: Agno
AUDIO_OUTPUT = ("output_audio_tokens", "audio_output_tokens")
