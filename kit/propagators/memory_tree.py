"""SAM2Long: a tree of memories in which a wrong mask is a branch and not the end.

Ding et al., "SAM2Long: Enhancing SAM 2 for Long Video Segmentation with a Training-Free Memory
Tree" (arXiv 2410.16268), as published code behaves where paper and code differ. P pathways each
decode three masks; of the 3P candidates the P of highest accumulated log IoU live on. What the
paper calls object-aware memory is in `Tree.grow` (which frames are recalled) and `modulated` (how
loud they are).

Upstream knows one object and one prompt. Ours beyond it: any number of objects; identical pathways
are computed once, which is exact; masks leave as soon as all pathways agree on them; and anchors.
On an anchor's frame all pathways collapse to its mask, with the score of the best; anchors are
recalled at temporal position 0 with presence 10, like the first mask, on the frames before them
too unless `anchors` is "past"; and a frame that recalls nothing but anchors is decoded as the
first tracked frame is upstream: best mask, keys unweighted, its IoU not scored. Of a tracker whose
objects can share a bucket (SAM 3.1) each has one of its own here, as its pathways are its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from kit.core.limits import Above, Positive, Range, Share
from kit.core.types import FrameResult, FrameSource, Prompt
from kit.propagators.branching import Pick, choose, modulated
from kit.propagators.objects import Answers
from kit.propagators.prompts import Prompted, condition
from kit.propagators.recall import Course, History, Kept, by_rank, closest
from kit.propagators.seen import Scores, scores
from kit.propagators.stream import EncodedFrames, emit
from kit.propagators.trail import Node, Trail
from kit.trackers.base import Context, Encoded, Hypothesis, Tracker

VERSION = 1


@dataclass(frozen=True)
class Config:
    """Defaults are those of the paper, section 4.3.

    The published tools/vos_inference.py has an uncertainty of 1, other scripts a `min_iou` of 0.1.
    """

    pathways: Positive = 3  # P
    min_iou: Share = 0.3  # delta_iou: a frame is recalled if its predicted IoU is above
    min_presence: float = 0.0  # ... and its object score logit
    # delta_conf: certain where some |object score logit| is above
    uncertainty: Annotated[float, Range(0)] = 2.0
    # on the keys of the memory of lowest object score
    lowest_weight: Annotated[float, Above(0)] = 0.95
    highest_weight: Annotated[float, Above(0)] = 1.05  # of the highest
    oldest_pointer: bool = False  # use it too; the published code stops one short
    anchors: Literal["both", "past"] = "both"  # "past": an anchor does not act on earlier frames
    keep_first_prompt: bool = False  # the first mask always is among the anchors attended to
    redecode_anchors: bool = False  # emit the decoder's mask on anchor frames, not the anchor's


@dataclass(frozen=True, eq=False)
class _Pathway:
    """One line of masks through the video.

    Attributes:
        node: Its newest mask, with the older ones along the parents.
        history: What its next frame recalls beside the anchors.
        score: Accumulated log IoU.
    """

    node: Node
    history: History
    score: float


@dataclass(frozen=True, eq=False)
class _Row:
    """A context that is decoded once, for all pathways that share it.

    Attributes:
        context: What is attended to.
        pathways: Their numbers.
        every: All three masks are candidates; else the best alone.
    """

    context: Context
    pathways: list[int]
    every: bool


@dataclass(frozen=True)
class _Child:
    """A pick; equal ones are one pathway.

    Attributes:
        parent: The pathway it continues.
        row: Where its mask was decoded.
        mask: Number of the mask.
        score: Accumulated log IoU.
        source: What its memory is made of; children with the same source share it.
    """

    parent: _Pathway
    row: _Row
    mask: int
    score: float
    source: tuple[_Row, int]


def propagate(
    tracker: Tracker, frames: FrameSource, prompts: Sequence[Prompt], config: Config
) -> Iterator[FrameResult]:
    """Segment every object from its first prompt to the end of the video.

    Results come in order but late: a mask is final when all living pathways have it in common, at
    the latest after the last frame.

    Args:
        tracker: Any tracker.
        frames: The video.
        prompts: In any order; at least one.
        config: Settings.

    Yields:
        One result per frame, ascending, from the earliest prompt on.

    Raises:
        DataError: Prompts that cannot be used; see `by_object`.
    """
    yield from emit(_final(tracker, frames, prompts, config), prompts)


def _final(
    tracker: Tracker, frames: FrameSource, prompts: Sequence[Prompt], config: Config
) -> Iterator[tuple[int, Answers]]:
    """Answers of each frame, when those of all objects are final."""
    source = EncodedFrames(tracker, frames)
    prompted = condition(tracker, source, prompts, len(frames))
    course = Course(len(frames), tracker.span)
    trees = {next(iter(own.prompts)): Tree(own, course, config) for own in prompted}
    start = min(prompt.frame for prompt in prompts)
    told = start
    for frame, encoded in source.walk(range(start, len(frames))):
        step(tracker, frame, encoded, [t for t in trees.values() if t.prompted.first <= frame])
        if frame == len(frames) - 1:
            for tree in trees.values():
                tree.finish()
        while told <= frame and all(tree.is_final(told) for tree in trees.values()):
            started = {i: t for i, t in trees.items() if t.prompted.first <= told}
            yield told, {id_: tree.trail.pop() for id_, tree in started.items()}
            told += 1


def step(tracker: Tracker, frame: int, encoded: Encoded, trees: Sequence["Tree"]) -> None:
    """Take all objects one frame further; their rows together, and their memories."""
    going = [tree for tree in trees if not tree.prompted.on(frame)]
    _collapse(tracker, frame, encoded, [tree for tree in trees if tree not in going])
    rows = {tree: tree.rows(frame) for tree in going}
    answers = _decode(tracker, encoded, [row for own in rows.values() for row in own])
    seen = dict(zip(answers, scores(list(answers.values())), strict=True))
    children = {tree: tree.children(own, seen) for tree, own in rows.items()}
    sources = list(dict.fromkeys(child.source for own in children.values() for child in own))
    masks = [answers[row].pick(mask) for row, mask in sources]
    memories = {
        source: Kept(frame, memory, seen[source[0]].presence)
        for source, memory in zip(
            sources, tracker.remember(encoded, [(mask,) for mask in masks]), strict=True
        )
    }
    for tree, own in children.items():
        tree.grow(own, answers, seen, memories)


def _collapse(tracker: Tracker, frame: int, encoded: Encoded, trees: Sequence["Tree"]) -> None:
    """Let trees pass a prompt; what is shown of an anchor may be the decoder's mask."""
    anchored = [tree for tree in trees if tree.redecodes(frame)]
    contexts = [tree.best_row(frame).context for tree in anchored]
    decoded = dict(zip(anchored, tracker.decode(encoded, contexts), strict=True))
    for tree in trees:
        tree.collapse(frame, decoded.get(tree))


def _decode(tracker: Tracker, encoded: Encoded, rows: Sequence[_Row]) -> dict[_Row, Hypothesis]:
    """Answers of rows; those that want every mask and those that do not are calls apart."""
    found: dict[_Row, Hypothesis] = {}
    for every in (False, True):
        own = [row for row in rows if row.every == every]
        answers = tracker.decode(encoded, [row.context for row in own], every)
        found |= zip(own, answers, strict=True)
    return found


class Tree:
    """The pathways of one object.

    Invariant: there are P of them, best first by the rule of `choose`; identical ones are the same
    object, and rows are decoded once however many pathways stand on them.
    """

    def __init__(self, prompted: Prompted, course: Course, config: Config) -> None:
        self.prompted = prompted
        self.trail = Trail()
        self._course = course
        self._config = config
        self._pathways: list[_Pathway] = []

    def is_final(self, frame: int) -> bool:
        """Whether the object's mask in a frame can no longer change, or it has not started."""
        return frame < self.prompted.first or self.trail.final > 0

    def finish(self) -> None:
        """Settle on the pathway of highest score; no frame follows."""
        self.trail.settle(self._pathways[0].node)

    def redecodes(self, frame: int) -> bool:
        """Whether the decoder's mask is shown on a prompted frame, and not the prompt's."""
        (prompt,) = self.prompted.on(frame).values()
        return self._config.redecode_anchors and not prompt.given and bool(self._pathways)

    def collapse(self, frame: int, shown: Hypothesis | None = None) -> None:
        """All pathways become the best one, continued by the prompt of a frame.

        Args:
            frame: The present frame.
            shown: The answer that is given instead of the prompt's.
        """
        (own,) = self.prompted.answers.pop(frame).values()
        answer = own if shown is None else shown
        best = self._best if self._pathways else None
        if best is not None:
            self.trail.settle(best.node)
        node = Node(best.node if best else None, answer.for_output())
        trusted = History(best.history.trusted) if best else History()
        pathway = _Pathway(node, trusted, best.score if best else 0.0)
        self._pathways = [pathway] * self._config.pathways
        self.trail.add([node])

    def rows(self, frame: int) -> list[_Row]:
        """Contexts of all pathways, equal ones once."""
        anchors = self.prompted.acting(frame, self._config.anchors)
        chosen = closest(anchors, frame, self._course.span.anchors, self._config.keep_first_prompt)
        rows: dict[tuple[int, ...], _Row] = {}
        for index, pathway in enumerate(self._pathways):
            recalled = pathway.history.recalled
            key = tuple(id(kept.memory) for kept in recalled)
            if key not in rows:
                context = by_rank(
                    anchors, recalled, frame, self._course, chosen, self._config.oldest_pointer
                )
                if recalled:
                    weights = (self._config.lowest_weight, self._config.highest_weight)
                    context = modulated(context, recalled, *weights)
                rows[key] = _Row(context, [], every=bool(recalled))
            rows[key].pathways.append(index)
        return list(rows.values())

    def best_row(self, frame: int) -> _Row:
        """The context of the pathway of highest score."""
        best = self._pathways.index(self._best)
        return next(row for row in self.rows(frame) if best in row.pathways)

    def children(self, rows: Sequence[_Row], seen: Mapping[_Row, Scores]) -> list[_Child]:
        """The P candidates that live on.

        Args:
            rows: From `rows`.
            seen: What the answers say.
        """
        row_of = {index: row for row in rows for index in row.pathways}
        told = [seen[row_of[index]] for index in range(len(self._pathways))]
        before = [pathway.score for pathway in self._pathways]
        if rows[0].every:
            limits = (self._config.pathways, self._config.uncertainty)
            picks = choose(before, [s.ious for s in told], [s.presence for s in told], *limits)
        else:  # nothing but anchors was recalled: not scored, no branches
            picks = [Pick(parent, 0, score) for parent, score in enumerate(before)]
        return [self._child(pick, row_of[pick.parent], told[pick.parent]) for pick in picks]

    def grow(
        self,
        children: Sequence[_Child],
        answers: Mapping[_Row, Hypothesis],
        told: Mapping[_Row, Scores],
        memories: Mapping[tuple[_Row, int], Kept],
    ) -> None:
        """Continue pathways; identical ones stay one object.

        Args:
            children: From `children`.
            answers: Of each row.
            told: What they say.
            memories: By `_Child.source`.
        """
        grown = {}
        for child in dict.fromkeys(children):
            seen = told[child.row]
            passed = seen.ious[child.mask] > self._config.min_iou
            passed = passed and seen.presence > self._config.min_presence
            history = child.parent.history.then(memories[child.source], passed, self._course)
            node = Node(child.parent.node, answers[child.row].pick(child.mask).for_output())
            grown[child] = _Pathway(node, history, child.score)
        self._pathways = [grown[child] for child in children]
        self.trail.add([pathway.node for pathway in self._pathways])

    @property
    def _best(self) -> _Pathway:
        return max(self._pathways, key=lambda pathway: pathway.score)

    def _child(self, pick: Pick, row: _Row, told: Scores) -> _Child:
        mask = pick.mask if told.presence > 0 else 0  # of an absent object all are alike
        return _Child(self._pathways[pick.parent], row, pick.mask, pick.score, (row, mask))
