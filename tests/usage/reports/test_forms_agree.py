"""Any tokens, in any form that can express them, are read as the same classes."""

from hypothesis import given
from hypothesis import strategies as st

from registry_proxy.tokens import Tokens
from tests.usage.forms import forms_of
from tests.usage.reports.reports import report
from usage.reports.members import ReportError
from usage.reports.reading import read_usage

counts = st.integers(0, 10**9) | st.integers(0, 5)
text_tokens = st.builds(
    Tokens,
    **dict.fromkeys(("input", "cache_read", "output", "thinking"), counts),
    **dict.fromkeys(("cache_write_5m", "cache_write_1h", "cache_write"), counts | st.just(0)),
)
small = st.integers(-2, 8) | st.none() | st.sampled_from(["5", 1.5, True, {}, [], 2**53])
# Any object with the members that are known, whether or not they make sense together.
usage_objects = st.dictionaries(
    st.sampled_from(
        ["prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "total_tokens"]
        + ["cache_creation_input_tokens", "cache_read_input_tokens", "reasoning_tokens", "cost"]
        + ["promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "totalTokenCount"]
        + ["inputTokens", "outputTokens", "seconds", "type", "cached_tokens", "iterations"]
    ),
    small,
) | st.builds(
    lambda totals, details: totals | details,
    st.fixed_dictionaries({"prompt_tokens": small, "completion_tokens": small}),
    st.dictionaries(
        st.sampled_from(["prompt_tokens_details", "completion_tokens_details"]),
        st.dictionaries(
            st.sampled_from(
                ["cached_tokens", "cache_write_tokens", "audio_tokens", "image_tokens"]
                + ["reasoning_tokens", "cached_tokens_details", "text_tokens"]
            ),
            small,
        )
        | small,
    ),
)


@given(text_tokens)
def test_every_form_is_read_as_the_same_classes(tokens):
    for form, members in forms_of(tokens).items():
        usage = read_usage(report(provider="acme", model="m", **members))
        assert usage.tokens == tokens, form
        assert not usage.units, form


@given(usage_objects, st.sampled_from(["openai", "anthropic", "google", ""]))
def test_whatever_a_provider_sends_is_read_or_refused(usage, provider):
    try:
        read = read_usage(report(provider=provider, model="m", usage=usage))
    except ReportError as refusal:
        assert refusal.loc[0] == "usage"
    else:
        assert read.tokens.prompt + read.tokens.completion >= 0
