"""Columns of the ledger and of its daily sums, by what they are for."""

# Labels of a log that daily sums are kept by, in the order of their digest.
LABELS = ("provider", "model", "alias", "origin", "profile", "api_key_id", "priced_as")
# The token classes that have columns beside `input_tokens` and `output_tokens`, which
# contain them. What is left of those two is fresh text of the prompt, and text without thinking.
INPUT_CLASSES = (
    "cached_input_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "cache_write_tokens",
    "audio_input_tokens",
    "image_input_tokens",
)
OUTPUT_CLASSES = ("thinking_tokens", "audio_output_tokens", "image_output_tokens")
# Most calls have none of these: empty columns are neither stored nor summed.
OPTIONAL_CLASSES = (*INPUT_CLASSES[1:], *OUTPUT_CLASSES)
TOKEN_COLUMNS = ("input_tokens", "output_tokens", *INPUT_CLASSES, *OUTPUT_CLASSES)
# What only the gateway knows of a call.
GATEWAY_COLUMNS = ("upstream", "requested_model", "http_status", "first_byte_ms", "error")
# What a reversal has with the opposite sign.
SIGNED_COLUMNS = ("cost", *TOKEN_COLUMNS)
# What is summed for each combination of labels.
SUMS = ("requests", "unpriced_requests", "unknown_requests", "cost", *TOKEN_COLUMNS)
