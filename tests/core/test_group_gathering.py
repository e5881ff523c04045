"""Callers that were answered together are written together again."""

import asyncio

import pytest

from core.database import group_gathering
from core.database.group_commit import GroupWriter


class Store:
    """Stores at once, and records the groups it is given."""

    def __init__(self) -> None:
        self.groups: list[list] = []

    async def __call__(self, execute, items):
        self.groups.append(list(items))
        await asyncio.sleep(0)
        return items


@pytest.fixture(autouse=True)
def wait_for_an_hour(monkeypatch):
    """Wait for an hour, so that a group which is written was written for another reason."""
    monkeypatch.setattr(group_gathering, "_MAX_WAIT_SECONDS", 3600)


def lengths(store: Store) -> list[int]:
    return [len(group) for group in store.groups]


async def write_often(writer: GroupWriter, name: str, times: int) -> None:
    for number in range(times):
        await writer.write(f"{name}{number}")


def test_a_caller_alone_is_written_at_once():
    store = Store()
    asyncio.run(write_often(GroupWriter(store), "a", 5))
    assert lengths(store) == [1, 1, 1, 1, 1]


def test_two_halves_become_one_group():
    """Four begin apart: one, and three that come while it is written."""
    store = Store()

    async def story():
        writer = GroupWriter(store)
        callers = [asyncio.ensure_future(write_often(writer, "a", 4))]
        while not store.groups:
            await asyncio.sleep(0)
        callers += [asyncio.ensure_future(write_often(writer, name, 3)) for name in "bcd"]
        await asyncio.gather(*callers)

    asyncio.run(story())
    assert lengths(store) == [1, 4, 4, 4]


def test_first_caller_of_a_group_waits_for_the_others_to_come_back():
    store = Store()

    async def story():
        writer = GroupWriter(store)
        await asyncio.gather(*(writer.write(name) for name in "abc"))
        first = asyncio.ensure_future(writer.write("d"))
        for _ in range(20):
            await asyncio.sleep(0)
        assert lengths(store) == [3]
        await asyncio.gather(first, writer.write("e"), writer.write("f"))

    asyncio.run(story())
    assert store.groups == [["a", "b", "c"], ["d", "e", "f"]]


def test_callers_that_do_not_come_back_are_waited_for_once(monkeypatch):
    store = Store()

    async def together(writer, *items):
        await asyncio.gather(*(writer.write(item) for item in items))

    async def story():
        writer = GroupWriter(store)
        await together(writer, 1, 2, 3, 4)
        loop = asyncio.get_running_loop()
        with monkeypatch.context() as patch:
            # The wait for three more is over at the loop's next turn: in vain.
            patch.setattr(loop, "call_later", lambda seconds, end: loop.call_soon(end))
            await writer.write(5)
        await together(writer, 6, 7)
        await writer.write(8)  # would wait for an hour

    asyncio.run(asyncio.wait_for(story(), 60))
    assert store.groups == [[1, 2, 3, 4], [5], [6, 7], [8]]


def test_a_long_pause_is_the_end_of_waiting(monkeypatch):
    monkeypatch.setattr(group_gathering, "_MAX_WAIT_SECONDS", 0)
    store = Store()

    async def story():
        writer = GroupWriter(store)
        await asyncio.gather(writer.write(1), writer.write(2))
        await writer.write(3)

    asyncio.run(story())
    assert store.groups == [[1, 2], [3]]
