"""Work done ahead of its turn, in a thread of its own, while the caller is busy otherwise."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Done = TypeVar("Done")


def ahead(work: Callable[[Item], Done], items: Iterable[Item], most: int = 1) -> Iterator[Done]:
    """`work(item)` for each item, in order; errors arrive when their item's turn comes.

    Args:
        work: Runs in one thread, an item after another.
        items: Taken in the caller's thread.
        most: Items that are taken and worked on beyond the one that is asked for.
    """
    with ThreadPoolExecutor(max_workers=1) as worker:
        under_way: deque[Future[Done]] = deque()
        for item in items:
            under_way.append(worker.submit(work, item))
            if len(under_way) > most:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
