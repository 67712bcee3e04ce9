"""Items that wait together go through one call, and each waiter has its own answer."""

import asyncio
import threading
import time

import pytest

from burst2vec.serving.batching import Batching


def by_tens(items):
    return [list(range(start, min(start + 10, len(items)))) for start in range(0, len(items), 10)]


def at_work(batching, scene):
    """The result of a scene while ``batching`` runs; it is cancelled then."""

    async def play():
        task = asyncio.create_task(batching.run())
        try:
            return await asyncio.wait_for(scene(), 30)
        finally:
            task.cancel()
            await asyncio.wait([task])

    return asyncio.run(play())


def test_each_waiter_has_its_own_answer_and_no_two_calls_run_at_once():
    calls, busy = [], threading.Lock()

    def doubled(items):
        assert busy.acquire(blocking=False)
        time.sleep(0.001)
        calls.append(len(items))
        busy.release()
        return [2 * item for item in items]

    async def scene():
        return await asyncio.gather(*map(batching.answer, range(100)))

    batching = Batching(doubled, lambda items: [batch[::-1] for batch in by_tens(items)], 10, 0)
    assert at_work(batching, scene) == [2 * item for item in range(100)]
    assert sum(calls) == 100 and max(calls) == 10


def test_an_item_that_fails_costs_no_other_its_answer():
    def inverse(items):
        return [1 / item for item in items]

    async def scene():
        return await asyncio.gather(*map(batching.answer, (1, 0, 2)), return_exceptions=True)

    batching = Batching(inverse, by_tens, 10, 0)
    one, fault, half = at_work(batching, scene)
    assert (one, half) == (1, 0.5) and isinstance(fault, ZeroDivisionError)


def test_an_item_waits_for_one_that_is_announced_and_for_no_other():
    calls = []

    def kept(items):
        calls.append(list(items))
        return items

    async def late():
        with batching.announced():
            await asyncio.sleep(0.05)
        return await batching.answer("late")

    async def refused():
        with batching.announced():
            await asyncio.sleep(0.05)

    async def scene():
        await batching.answer("alone")  # at once, else the scene's time is over
        await asyncio.gather(late(), batching.answer("early"))
        await asyncio.gather(refused(), batching.answer("beside one that is refused"))

    batching = Batching(kept, by_tens, 10, max_wait=60)
    at_work(batching, scene)
    assert calls == [["alone"], ["early", "late"], ["beside one that is refused"]]


def test_an_item_does_not_wait_longer_than_it_may_nor_in_a_full_batch():
    async def scene():
        with batching.announced():
            return await asyncio.gather(*map(batching.answer, range(some)))

    for some, max_wait in ((1, 0.05), (10, 60)):
        batching = Batching(list, by_tens, 10, max_wait)
        assert at_work(batching, scene) == list(range(some))


def test_who_has_left_is_not_answered_and_who_waits_at_the_end_is_told():
    calls, go = [], threading.Event()

    def held(items):
        calls.append(list(items))
        go.wait(30)
        return items

    async def scene():
        first, left, last = [asyncio.create_task(batching.answer(name)) for name in ("first", "left", "last")]
        await asyncio.sleep(0.05)
        left.cancel()
        go.set()
        assert await asyncio.gather(first, last) == ["first", "last"]
        go.clear()
        return asyncio.create_task(batching.answer("at the end"))

    batching = Batching(held, lambda items: [[place] for place in range(len(items))], 1, 0)

    async def ended():
        task = asyncio.create_task(batching.run())
        waiting = await scene()
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        go.set()

    asyncio.run(ended())
    assert calls == [["first"], ["last"], ["at the end"]]
