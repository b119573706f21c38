"""The MOSEv2 measures written from their definitions, slow and obvious. Only tests use this."""

import math

import numpy as np


def boundary(mask):
    """Pixels that differ from their east, south or south-east neighbour."""
    height, width = mask.shape
    edge = np.zeros_like(mask)
    for y in range(height):
        for x in range(width):
            east = x + 1 < width and mask[y, x + 1]
            south = y + 1 < height and mask[y + 1, x]
            both = x + 1 < width and y + 1 < height and mask[y + 1, x + 1]
            differs = mask[y, x] != east, mask[y, x] != south, mask[y, x] != both
            if y == height - 1 and x == width - 1:
                edge[y, x] = False
            elif x == width - 1:
                edge[y, x] = differs[1]
            elif y == height - 1:
                edge[y, x] = differs[0]
            else:
                edge[y, x] = any(differs)
    return edge


def disk(radius):
    """Offsets (dy, dx) of the disk of scikit-image, anchored as OpenCV does."""
    line = np.arange(-radius, radius + 1)
    offsets = [
        (i - len(line) // 2, j - len(line) // 2)
        for i, y in enumerate(line)
        for j, x in enumerate(line)
        if y**2 + x**2 <= radius**2
    ]
    return offsets or [(-(len(line) // 2), -(len(line) // 2))]


def matched(edge, other, radius):
    """How many pixels q of `edge` have a pixel of `other` at q + d, d in the disk."""
    there = set(zip(*np.nonzero(other), strict=True))
    offsets = disk(radius)
    return sum(
        any((y + dy, x + dx) in there for dy, dx in offsets)
        for y, x in zip(*np.nonzero(edge), strict=True)
    )


def tolerances(area, shape):
    """Standard and adaptive radius."""
    cap = 0.008 * np.linalg.norm(shape)
    radius = math.ceil(0.1 * math.sqrt(area)) if area else math.ceil(0.1 * np.linalg.norm(shape))
    radius = min(cap, radius)
    return (math.ceil(cap), radius) if radius < cap else (cap, cap)


def count(gt, pred):
    """The nine integers of a pair of masks, bool[H, W] each."""
    edges = boundary(gt), boundary(pred)
    standard, adaptive = tolerances(gt.sum(), gt.shape)
    return [
        gt.sum(),
        pred.sum(),
        (gt & pred).sum(),
        edges[0].sum(),
        edges[1].sum(),
        matched(edges[0], edges[1], standard),
        matched(edges[1], edges[0], standard),
        matched(edges[0], edges[1], adaptive),
        matched(edges[1], edges[0], adaptive),
    ]


def jaccard(area_gt, area_pred, inter):
    union = area_gt + area_pred - inter
    return (inter + 1) / (union + 1) if union else 1.0


def boundary_f(n_gt, n_pred, matched_gt, matched_pred):
    if n_gt == 0 and n_pred == 0:
        return 1.0
    if n_gt == 0 or n_pred == 0:
        return 0.0
    precision, recall = matched_pred / n_pred, matched_gt / n_gt
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def segments(empty):
    """Stretches after each disappearance and after each reappearance."""
    changes = [i for i in range(1, len(empty)) if empty[i] != empty[i - 1]]
    ends = [*changes[1:], len(empty)][: len(changes)]
    stretches = list(zip(changes, ends, strict=True))
    return [s for s in stretches if empty[s[0]]], [s for s in stretches if not empty[s[0]]]


def summarise(j, f_new, f, empty):
    """J, F_new, F, then J and F_new of the disappearances and of the reappearances."""
    values = [np.mean(j), np.mean(f_new), np.mean(f)]
    for stretches in segments(empty):
        for curve in (j, f_new):
            means = [np.mean(curve[start:end]) for start, end in stretches]
            values.append(np.mean(means) if means else None)
    return values
