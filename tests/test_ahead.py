"""Work done ahead of its turn: in order, no further than asked, its errors in their place."""

import threading
from collections.abc import Iterator

import pytest

from kit.core.ahead import ahead


@pytest.mark.parametrize("most", [1, 3])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_results_come_in_order(most: int, count: int) -> None:
    assert list(ahead(lambda x: x * x, range(count), most)) == [x * x for x in range(count)]


@pytest.mark.parametrize("most", [1, 3])
def test_no_more_is_taken_than_asked(most: int) -> None:
    taken = []

    def items() -> Iterator[int]:
        for item in range(20):
            taken.append(item)
            yield item

    results = ahead(str, items(), most)
    for number in range(1, 8):
        next(results)
        assert len(taken) == number + most
    results.close()


def test_the_next_item_is_worked_on_while_the_caller_is_busy() -> None:
    started = threading.Event()

    def work(item: int) -> int:
        if item == 1:
            started.set()
        return item

    results = ahead(work, range(3))
    assert next(results) == 0
    assert started.wait(10)  # nobody has asked for it
    assert list(results) == [1, 2]


def test_an_error_waits_for_its_turn() -> None:
    results = ahead(lambda item: 6 // item, [2, 0, 3])
    assert next(results) == 3
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_work_runs_in_one_other_thread() -> None:
    threads = set(ahead(lambda _: threading.get_ident(), range(5), 3))
    assert len(threads) == 1
    assert threads != {threading.get_ident()}
