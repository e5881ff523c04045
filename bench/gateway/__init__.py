"""The gateway beside LiteLLM: `uv run python -m bench.gateway`."""
