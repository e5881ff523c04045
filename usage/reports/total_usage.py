"""The usage object of embeddings and rerankers that count one total, as Voyage AI and Jina do."""

from registry_proxy.tokens import Tokens
from usage.reports.members import Members
from usage.reports.reported_usage import Usage, as_units

OWN_MEMBERS = ("total_tokens", "tokens")  # the latter: embeddings of the AI SDK


def read_total(usage: Members) -> Usage:
    """Read the total as the prompt; of pictures and videos Voyage AI bills the pixels.

    Source: https://docs.voyageai.com/docs/multimodal-embeddings
    """
    pixels = as_units(
        image_pixels=usage.count("image_pixels"), video_pixels=usage.count("video_pixels")
    )
    names = ("text_tokens",) if pixels else OWN_MEMBERS
    return Usage(Tokens(input=usage.count(*names)), "total", units=pixels)
