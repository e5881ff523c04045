"""What is decoded in parts is what is decoded at once, and no part is longer than it may be."""

import gzip
import random
import zlib

import pytest

from core.codings import Decoder, TooLong
from tests.zstd import zstd

TEXT = b"".join(b"line %d\n" % number for number in range(20_000)) + bytes(300_000)
CODERS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstd.compress,
}


def coded(coding: str) -> bytes:
    """Two members, where the coding has such."""
    code = CODERS[coding]
    return code(TEXT) if coding == "deflate" else code(TEXT[:150_000]) + code(TEXT[150_000:])


@pytest.mark.parametrize("size", [1_000, 65_536])
@pytest.mark.parametrize("coding", CODERS)
def test_parts_are_the_whole(coding, size):
    data, decoder, parts = coded(coding), Decoder(coding), []
    cuts = sorted(random.Random(1).sample(range(len(data)), 5))
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        parts += decoder.parts(data[start:end], max_length=len(TEXT), size=size)
    assert b"".join(parts) == TEXT
    assert max(map(len, parts)) == size
    assert decoder.is_at_end


@pytest.mark.parametrize("coding", CODERS)
def test_parts_end_where_more_comes_out_than_is_read(coding):
    parts = Decoder(coding).parts(CODERS[coding](bytes(1_000_000)), max_length=100_000, size=30_000)
    got = []
    with pytest.raises(TooLong):
        got.extend(parts)
    assert sum(map(len, got)) <= 100_000


@pytest.mark.parametrize("coding", CODERS)
def test_all_that_has_come_is_decoded(coding):
    """Each piece of a stream is passed on, though its member goes on."""
    coder = {
        "gzip": lambda: zlib.compressobj(wbits=31),
        "deflate": zlib.compressobj,
        "zstd": zstd.ZstdCompressor,
    }[coding]()
    flush = zstd.ZstdCompressor.FLUSH_BLOCK if coding == "zstd" else zlib.Z_SYNC_FLUSH
    decoder = Decoder(coding)
    for length in (10, 100_000, 65_536, 10):
        data = coder.compress(b"a" * length) + coder.flush(flush)
        parts = [*decoder.parts(data, max_length=length, size=65_536)]
        assert b"".join(parts) == b"a" * length
