"""Masks that are not final yet, and when they become so."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from kit.propagators.shelf import Shelf, Shelved
from kit.trackers.base import Hypothesis

NEAR = 16  # frames whose masks stay in memory: most become final within a few


@dataclass(eq=False, slots=True)
class Node:
    """One mask of one frame; pathways that share their past share their nodes."""

    parent: "Node | None"
    answer: Hypothesis | Shelved


class Trail:
    """The living nodes of each frame that has not been taken yet, oldest first.

    Invariant: every node in it is an ancestor of a newest one, and so a frame with one node is
    final, as are all before it. Masks of all but the `NEAR` newest frames are on the shelf.
    """

    def __init__(self) -> None:
        self._layers: deque[list[Node]] = deque()
        self._shelf = Shelf()
        self.final = 0  # frames that can be taken

    def add(self, newest: Sequence[Node]) -> None:
        """Append a frame; nodes without a descendant in it die."""
        self._layers.append(list(dict.fromkeys(newest)))
        self._prune()
        if len(self._layers) > NEAR:
            self._set_aside(self._layers[-NEAR - 1])

    def settle(self, node: Node) -> None:
        """Only this one of the newest nodes lives on."""
        if self._layers:
            self._layers[-1] = [node]
            self._prune()

    def pop(self) -> Hypothesis:
        """Take the oldest final mask."""
        self.final -= 1
        (node,) = self._layers.popleft()
        node.parent = None  # so that what has been taken can be freed
        return node.answer.taken() if isinstance(node.answer, Shelved) else node.answer

    def _set_aside(self, nodes: Sequence[Node]) -> None:
        answers = [node.answer for node in nodes if isinstance(node.answer, Hypothesis)]
        for node, shelved in zip(nodes, self._shelf.put(answers), strict=True):
            node.answer = shelved

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
