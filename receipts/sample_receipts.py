"""Examples for the OpenAPI document; a test verifies the receipts with the key they name."""

NESTED = {
    "id": "rcpt-demo-1",
    "timestamp": "2025-01-02T03:04:05Z",
    "model": "openai:gpt-4o-mini",
    "alias": "fast",
    "profile": "prod",
    "lock_digest": "sha256:00ff",
    "key_id": "k-2025",
    "tokens": {"input": 1200, "output": 300, "cached_input": 200},
    "cost": {"amount": 0.00033, "calculation": "demo"},
    "signature": "ed25519:IwyZsCL0Z4a9jG9Vp9AhagHn8BKvxe_864NRGpnU2TIa_1ATQ5UiWIHmzpxLGemX"
    "nkuG0BYxVOPPBJepSHeYCg",
}
DRAFT = {
    "id": "rcpt-demo-1",
    "model": "openai:gpt-4o-mini",
    "alias": "fast",
    "tokens": {"input": 1200, "output": 300, "cached_input": 200},
    "cost": {},
}
FLAT_DRAFT = {
    "alias": "summarizer",
    "provider": "openai",
    "model": "gpt-4o-mini",
    "prompt_tokens": 1200,
    "completion_tokens": 300,
    "total_tokens": 1500,
    "input_cost": 0.00018,
    "output_cost": 0.00018,
    "total_cost": 0.00036,
}
USAGE_DRAFT = {
    "provider": "anthropic",
    "model": "claude-3-5-haiku-20241022",
    "usage": {"input_tokens": 1000, "output_tokens": 300, "cache_read_input_tokens": 200},
}
GENERATION = {"since_last_receipt": True, "description": "January", "tags": ["billing"]}
