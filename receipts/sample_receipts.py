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
_SUMS = {"calls": 2, "cost": 0.0021, "tokens": 2400}
_SUMMARY = {
    "total_conversations": 0,
    "total_tokens": 2400,
    "total_cost": 0.0021,
    "total_cost_exact": "0.0021",
    "unpriced_calls": 0,
    "unknown_calls": 0,
    "start_date": "2026-01-02T03:04:05.678901+00:00",
    "end_date": "2026-01-02T03:05:06.789012+00:00",
    "by_model": {"gpt-4o-mini": _SUMS},
    "by_alias": {"summarizer": _SUMS},
}
PREVIEW = {"total_logs": 2, "receipt_type": "batch", **_SUMMARY}
BATCH = {
    "receipt_id": "rcpt_3131e347b9ab482f",
    "timestamp": "2026-01-31T23:59:59.123456Z",
    "alias": "summarizer",
    "profile": "default",
    "lock_digest": "",
    "provider": "openai",
    "model": "batch:2 calls",
    "prompt_tokens": 2000,
    "completion_tokens": 400,
    "total_tokens": 2400,
    "input_cost": 0.0009,
    "output_cost": 0.0012,
    "total_cost": 0.0021,
    "receipt_type": "batch",
    "batch_summary": {
        **_SUMMARY,
        "total_calls": 2,
        "conversation_ids": [],
        "log_ids": [
            "0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
            "0193b1a3-6ab4-7c5d-9e8f-0a1b2c3d4e5f",
        ],
        "logs": {
            "count": 2,
            "first_id": "0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
            "last_id": "0193b1a3-6ab4-7c5d-9e8f-0a1b2c3d4e5f",
            "digest": "sha256:b10c…",
            "listed": True,
        },
    },
    "description": "January",
    "tags": ["billing"],
    "signature": "ed25519:…",
}
LOG = {
    "id": "0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
    "type": "usage",
    "provider": "openai",
    "model": "gpt-4o-mini",
    "alias": "summarizer",
    "input_tokens": 1000,
    "output_tokens": 200,
    "cost": 0.00105,
    "timestamp": "2026-01-02T03:04:05.678901+00:00",
}
JWK = {
    "kty": "OKP",
    "crv": "Ed25519",
    "x": "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg",
    "kid": "k-2025",
    "use": "sig",
    "alg": "EdDSA",
}
KEY_DOCUMENT = {
    "keys": [
        {
            "key_id": "k-2025",
            "public_key": "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg",
            "algorithm": "Ed25519",
            "format": "base64url",
        }
    ],
    "current_key_id": "k-2025",
}
