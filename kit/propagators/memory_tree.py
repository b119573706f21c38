"""SAM2Long: a tree of memories in which a wrong mask is a branch and not the end.

Ding et al., "SAM2Long: Enhancing SAM 2 for Long Video Segmentation with a Training-Free Memory
Tree" (arXiv 2410.16268), as published code behaves where paper and code differ. P pathways each
decode three masks; of the 3P candidates the P of highest accumulated log IoU live on. What the
paper calls object-aware memory is in `_Pathway` (which frames are recalled) and `modulated` (how
loud they are).

Upstream knows one object and one prompt. Ours beyond it: any number of objects; identical pathways
are computed once, which is exact; masks leave as soon as all pathways agree on them; and anchors.
On an anchor's frame all pathways collapse to its mask, with the score of the best; anchors are
recalled at temporal position 0 with presence 10, like the first mask, on the frames before them
too unless `anchors` is "past"; and a frame that recalls nothing but anchors is decoded as the
first tracked frame is upstream: best mask, keys unweighted, its IoU not scored.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from kit.core.types import FrameSource
from kit.propagators.prompts import Prompted, condition
from kit.propagators.recall import Course, History, Kept, by_rank, closest
from kit.propagators.stream import EncodedFrames, Outbox
from kit.propagators.trail import Node, Trail
from kit.trackers.base import Context, Encoded, FrameResult, Hypothesis, Prompt, Recall, Tracker

VERSION = 1

ANCHOR_PRESENCE = 10.0  # object score logit of prompted frames
EPSILON = 1e-5  # keeps the logarithm of an IoU of 0 finite


@dataclass(frozen=True)
class Config:
    """Defaults are those of the paper, section 4.3."""

    pathways: int = 3  # P
    min_iou: float = 0.3  # delta_iou: a frame is recalled if its predicted IoU is above
    min_presence: float = 0.0  # ... and its object score logit
    uncertainty: float = 2.0  # delta_conf: certain where some |object score logit| is above
    lowest_weight: float = 0.95  # on the keys of the memory of lowest object score
    highest_weight: float = 1.05  # of the highest
    oldest_pointer: bool = False  # use it too; the published code stops one short
    anchors: Literal["both", "past"] = "both"  # "past": an anchor does not act on earlier frames
    keep_first_prompt: bool = False  # the first mask always is among the anchors attended to


@dataclass(frozen=True)
class Pick:
    """A candidate that lives on: mask `mask` of pathway `parent`, and its accumulated score."""

    parent: int
    mask: int
    score: float


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
    """A context that is decoded once, for all pathways that share it."""

    context: Context
    pathways: list[int]


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
    source = EncodedFrames(tracker, frames)
    prompted = condition(tracker, source, prompts, len(frames))
    course = Course(len(frames), tracker.span)
    trees = {id_: Tree(own, course, config) for id_, own in prompted.items()}
    height, width = prompts[0].mask.shape
    start = min(prompt.frame for prompt in prompts)
    emitted = start
    for frame, encoded in source.walk(range(start, len(frames))):
        step(tracker, frame, encoded, [t for t in trees.values() if t.first <= frame])
        if frame == len(frames) - 1:
            for tree in trees.values():
                tree.finish()
        while all(tree.is_final(emitted) for tree in trees.values()) and emitted <= frame:
            ready = {id_: t.trail.pop() for id_, t in trees.items() if t.first <= emitted}
            answers = [node.answer for node in ready.values()]
            device = encoded.tokens.device
            yield Outbox(emitted, ready, answers, (height, width), device).open()
            emitted += 1


def step(tracker: Tracker, frame: int, encoded: Encoded, trees: Sequence["Tree"]) -> None:
    """Take all objects one frame further, their rows together."""
    for tree in trees:
        if frame in tree.prompted.prompts:
            tree.collapse(frame)
    going = [tree for tree in trees if frame not in tree.prompted.prompts]
    plain = [tree for tree in going if not tree.branches]
    tracked = [tree for tree in going if tree.branches]
    for group, every in ((plain, False), (tracked, True)):
        rows = [tree.rows(frame) for tree in group]
        answers = tracker.decode(encoded, [row.context for own in rows for row in own], every)
        numbers = iter(_on_host(answers))
        found = iter(answers)
        for tree, own in zip(group, rows, strict=True):
            tree.grow(
                frame,
                encoded,
                tracker,
                own,
                [next(found) for _ in own],
                [next(numbers) for _ in own],
            )


def choose(
    scores: Sequence[float],
    ious: Sequence[Sequence[float]],
    presences: Sequence[float],
    config: Config,
) -> list[Pick]:
    """The P candidates that live on (paper section 3.2; the published code for the fill).

    Where some pathway is sure whether the object is there, the P best accumulated scores. Else the
    best of each distinct IoU, rounded to 2 decimals and signed by presence; if those are fewer
    than P, then the best candidate of each pathway that has none yet.

    Args:
        scores: Accumulated log IoU of P pathways.
        ious: Of each pathway the predicted IoU of its K masks, 0..1.
        presences: Of each pathway the object score logit.
        config: Settings.

    Returns:
        P picks, best first among those of one rule.
    """
    candidates = sorted(
        (
            Pick(parent, mask, score + float(np.log(iou + EPSILON)))
            for parent, score in enumerate(scores)
            for mask, iou in enumerate(ious[parent])
        ),
        key=lambda pick: -pick.score,
    )
    if max(map(abs, presences)) > config.uncertainty:
        return candidates[: config.pathways]
    distinct: dict[float, Pick] = {}
    for pick in candidates:
        iou = ious[pick.parent][pick.mask]
        signed = iou if presences[pick.parent] > 0 else -iou
        distinct.setdefault(round(signed, 2), pick)
    picks = list(distinct.values())[: config.pathways]
    for parent in range(len(scores)):
        if len(picks) < config.pathways and parent not in {pick.parent for pick in picks}:
            picks.append(next(pick for pick in candidates if pick.parent == parent))
    return picks


def modulated(context: Context, recalled: Sequence[Kept], config: Config) -> Context:
    """Louder keys for memories of higher object score (paper section 3.3).

    The weights run evenly from the lowest to the highest over the ranks of the scores; spatial
    memories and pointers are ranked apart. Anchors score 10.

    Args:
        context: Of `by_rank` for the same memories.
        recalled: The tracked memories in it.
        config: Settings.
    """
    score = {id(kept.memory): kept.presence for kept in recalled}

    def weighted(recalls: Sequence[Recall]) -> tuple[Recall, ...]:
        scores = [score.get(id(recall.memory), ANCHOR_PRESENCE) for recall in recalls]
        ranks = sorted(range(len(scores)), key=scores.__getitem__)
        # Upstream keeps the anchors' constant 10 in bfloat16 and computes weights in the type of
        # the scores: rounded where no tracked score (float32) is among them.
        alone = all(id(recall.memory) not in score for recall in recalls)
        dtype = torch.bfloat16 if alone else torch.float32
        weights = torch.linspace(
            config.lowest_weight, config.highest_weight, len(scores), dtype=dtype
        ).tolist()
        weight_of = dict(zip(ranks, weights, strict=True))
        return tuple(replace(recall, weight=weight_of[i]) for i, recall in enumerate(recalls))

    return replace(context, spatial=weighted(context.spatial), pointers=weighted(context.pointers))


class Tree:
    """The pathways of one object.

    Invariant: there are P of them, best first by the rule of `choose`; identical ones are the same
    object, and rows are decoded once however many pathways stand on them.
    """

    def __init__(self, prompted: Prompted, course: Course, config: Config) -> None:
        self.prompted = prompted
        self.first = prompted.first
        self.trail = Trail()
        self._course = course
        self._config = config
        self._pathways: list[_Pathway] = []

    @property
    def branches(self) -> bool:
        """Whether the next frame recalls more than anchors, and so is scored and branches."""
        return bool(self._pathways[0].history.recalled)

    def is_final(self, frame: int) -> bool:
        """Whether the object's mask in a frame can no longer change, or it has not started."""
        return frame < self.first or self.trail.final > 0

    def finish(self) -> None:
        """Settle on the pathway of highest score; no frame follows."""
        self.trail.settle(self._pathways[0].node)

    def collapse(self, frame: int) -> None:
        """All pathways become the best one, continued by the prompt of a frame."""
        answer = self.prompted.answers.pop(frame)
        best = max(self._pathways, key=lambda p: p.score) if self._pathways else None
        if best is not None:
            self.trail.settle(best.node)
        node = Node(best.node if best else None, answer.for_output())
        trusted = History(best.history.trusted) if best else History()
        pathway = _Pathway(node, trusted, best.score if best else 0.0)
        self._pathways = [pathway] * self._config.pathways
        self.trail.add([node])

    def rows(self, frame: int) -> list[_Row]:
        """Contexts of all pathways, equal ones once."""
        anchors = self.prompted.memories
        if self._config.anchors == "past":
            anchors = {a: memory for a, memory in anchors.items() if a <= frame}
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
                    context = modulated(context, recalled, self._config)
                rows[key] = _Row(context, [])
            rows[key].pathways.append(index)
        return list(rows.values())

    def grow(
        self,
        frame: int,
        encoded: Encoded,
        tracker: Tracker,
        rows: Sequence[_Row],
        answers: Sequence[Hypothesis],
        numbers: Sequence[tuple[list[float], float]],
    ) -> None:
        """Choose among the candidates of all pathways and continue the chosen ones.

        Args:
            frame: The present frame.
            encoded: Its features.
            tracker: Makes the memories.
            rows: From `rows`.
            answers: Of each row.
            numbers: Of each row the K predicted IoUs and the object score logit.
        """
        row_of = {index: r for r, row in enumerate(rows) for index in row.pathways}
        picks = self._picks([numbers[row_of[index]] for index in range(len(self._pathways))])
        children: dict[tuple[int, int, int], _Pathway] = {}
        memories: dict[tuple[int, int], Kept] = {}
        grown = []
        for pick in picks:
            parent, row = self._pathways[pick.parent], row_of[pick.parent]
            ious, presence = numbers[row]
            answer = answers[row].pick(pick.mask)
            same = (row, pick.mask if presence > 0 else 0)  # absent: all masks are alike
            if same not in memories:
                memory = tracker.remember(encoded, [answer])[0]
                memories[same] = Kept(frame, memory, presence)
            child = (id(parent), row, pick.mask)
            if child not in children:
                passed = ious[pick.mask] > self._config.min_iou
                passed = passed and presence > self._config.min_presence
                history = parent.history.then(memories[same], passed, self._course)
                node = Node(parent.node, answer.for_output())
                children[child] = _Pathway(node, history, pick.score)
            grown.append(children[child])
        self._pathways = grown
        self.trail.add([pathway.node for pathway in grown])

    def _picks(self, numbers: Sequence[tuple[list[float], float]]) -> list[Pick]:
        scores = [pathway.score for pathway in self._pathways]
        if not self.branches:
            return [Pick(parent, 0, score) for parent, score in enumerate(scores)]
        return choose(scores, [n[0] for n in numbers], [n[1] for n in numbers], self._config)


def _on_host(answers: Sequence[Hypothesis]) -> list[tuple[list[float], float]]:
    """IoUs and presence of each answer, in one transfer."""
    if not answers:
        return []
    table = torch.stack([torch.cat([a.iou, a.presence[None]]) for a in answers]).tolist()
    return [(row[:-1], row[-1]) for row in table]
