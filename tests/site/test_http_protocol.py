"""What uvicorn writes reaches the client whole, in order, and in one piece where it can."""

import asyncio

import pytest

from llmring_site.http_protocol import MAX_HELD, CoalescingTransport


class Transport:
    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.closed = False

    def writelines(self, pieces):
        assert not self.closed
        self.pieces.append(b"".join(pieces))

    def is_closing(self):
        return self.closed

    def close(self):
        self.closed = True


def written(story) -> Transport:
    async def main():
        transport = Transport()
        await story(CoalescingTransport(transport, asyncio.get_running_loop()))
        return transport

    return asyncio.run(main())


def test_writes_of_one_step_are_one_piece():
    async def story(transport):
        transport.write(b"head")
        transport.write(b"body")
        await asyncio.sleep(0)
        transport.write(b"next")
        await asyncio.sleep(0)

    assert written(story).pieces == [b"headbody", b"next"]


def test_closing_loses_nothing():
    async def story(transport):
        transport.write(b"head")
        transport.close()
        await asyncio.sleep(0)

    transport = written(story)
    assert transport.pieces == [b"head"] and transport.closed


@pytest.mark.parametrize("size", [MAX_HELD + 1, 10 * MAX_HELD])
def test_large_writes_are_not_held(size):
    async def story(transport):
        transport.write(bytes(size))
        assert transport._transport.pieces  # at once, without another step of the loop

    assert len(written(story).pieces[0]) == size


def test_nothing_is_written_to_a_lost_connection():
    async def story(transport):
        transport.write(b"late")
        transport._transport.closed = True
        await asyncio.sleep(0)

    assert written(story).pieces == []
