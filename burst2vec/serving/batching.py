"""What waits at the same time goes through one call together, in one thread; each waiter has its own answer."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

Waiter = tuple[Any, asyncio.Future]


class Batching:
    """Gathers items and answers them by a call of lists.

    Args:
        call: items to their answers, in the same order; runs in a thread of its own, never twice at once.
        group: items to batches of their places: which of those that wait go together. Each place is in one batch.
        batch_size: so many items do not wait for more.
        max_wait: seconds that an item waits for others that are announced; never where none are.
    """

    def __init__(self, call: Callable, group: Callable[[list], Iterable[Sequence[int]]], batch_size, max_wait: float):
        self.call, self.group, self.batch_size, self.max_wait = call, group, batch_size, max_wait
        self._announced = 0
        self._waiting: list[Waiter] = []
        self._changed = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "model")

    @contextmanager
    def announced(self) -> Iterator[None]:
        """Says that an item may come from inside the block, which ends before it is asked for its answer."""
        self._announced += 1
        try:
            yield
        finally:
            self._announced -= 1
            self._changed.set()

    async def answer(self, item):
        """The answer to an item. Raises what the call raises for this item alone."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._changed.set()
        return await future

    async def run(self) -> None:
        """Answer until cancelled; those who wait then are cancelled too."""
        gathered: list[Waiter] = []
        try:
            while True:
                gathered = await self._gathered()
                for places in self.group([item for item, _ in gathered]):
                    await self._answer([gathered[place] for place in places])
        finally:
            for _, future in [*gathered, *self._waiting]:
                future.cancel()
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def _gathered(self) -> list[Waiter]:
        while not self._waiting:
            self._changed.clear()
            await self._changed.wait()
        loop = asyncio.get_running_loop()
        end = loop.time() + self.max_wait
        while self._announced and len(self._waiting) < self.batch_size and (left := end - loop.time()) > 0:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except asyncio.TimeoutError:
                break
        gathered, self._waiting = self._waiting, []
        return gathered

    async def _answer(self, batch: list[Waiter]) -> None:
        batch = [(item, future) for item, future in batch if not future.done()]  # the others have left
        if not batch:
            return
        items = [item for item, _ in batch]
        try:
            answers = await asyncio.get_running_loop().run_in_executor(self._thread, self.call, items)
        except Exception as error:
            if len(batch) > 1:
                for waiter in batch:  # whose fault it is shows alone, and costs no other its answer
                    await self._answer([waiter])
            elif not batch[0][1].done():
                batch[0][1].set_exception(error)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)
