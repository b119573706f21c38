"""Masks that are not final yet, and when they become so."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from kit.trackers.base import Hypothesis


@dataclass(eq=False)
class Node:
    """One mask of one frame; pathways that share their past share their nodes."""

    parent: "Node | None"
    answer: Hypothesis


class Trail:
    """The living nodes of each frame that has not been taken yet, oldest first.

    Invariant: every node in it is an ancestor of a newest one, and so a frame with one node is
    final, as are all before it.
    """

    def __init__(self) -> None:
        self._layers: deque[list[Node]] = deque()
        self.final = 0  # frames that can be taken

    def add(self, newest: Sequence[Node]) -> None:
        """Append a frame; nodes without a descendant in it die."""
        self._layers.append(list(dict.fromkeys(newest)))
        self._prune()

    def settle(self, node: Node) -> None:
        """Only this one of the newest nodes lives on."""
        if self._layers:
            self._layers[-1] = [node]
            self._prune()

    def pop(self) -> Node:
        """Take the oldest final node."""
        self.final -= 1
        (node,) = self._layers.popleft()
        node.parent = None  # so that what has been taken can be freed
        return node

    def _prune(self) -> None:
        """Walk back for as long as something dies."""
        for index in range(len(self._layers) - 2, self.final - 1, -1):
            alive = {id(node.parent) for node in self._layers[index + 1]}
            kept = [node for node in self._layers[index] if id(node) in alive]
            if len(kept) == len(self._layers[index]):
                break
            self._layers[index] = kept
        while self.final < len(self._layers) and len(self._layers[self.final]) == 1:
            self.final += 1
