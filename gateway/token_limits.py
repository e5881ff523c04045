"""The names of a token's limits. Without Django: the command line starts at once."""

COUNTED_LIMITS = ("max_requests", "requests_per_minute", "budget_usd")  # of its allowance
ALLOW_LISTS = ("allowed_models", "allowed_endpoints", "allowed_origins")
