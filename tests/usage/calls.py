"""The call that stories log where any will do."""

import pytest

CALL = {"provider": "openai", "model": "gpt-4o-mini", "input_tokens": 1000, "output_tokens": 200}
# By the edge, and by the views behind it.
BOTH_WAYS = pytest.mark.usefixtures("way")
