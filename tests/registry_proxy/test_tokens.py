import pytest

from registry_proxy.tokens import TOKEN_CLASSES, Tokens


def test_prompt_and_completion_hold_every_class_once():
    powers = {name: 2**position for position, name in enumerate(TOKEN_CLASSES)}
    tokens = Tokens(**powers)
    assert tokens.prompt + tokens.completion == 2 ** len(TOKEN_CLASSES) - 1
    assert tokens.completion == sum(
        powers[name] for name in ("output", "thinking", "audio_output", "image_output")
    )


def test_negative_counts_are_refused():
    with pytest.raises(ValueError, match="never negative"):
        Tokens(cache_read=-1)
