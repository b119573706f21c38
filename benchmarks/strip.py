"""The README's picture: frames of one object of the demo, as each recipe masked it.

snakemake --cores 2 && python benchmarks/strip.py
"""

import argparse
import io
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from kit.core import artifacts, images
from kit.core.mask_archive import read_pngs
from kit.core.types import Video
from kit.report.pictures import colour

Pixels = NDArray[np.uint8]
GAP, LABEL = 6, 22  # pixels between pictures, and for the line above each row


def main() -> None:
    """Draw the strip."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("work/demo"))
    parser.add_argument("--video", default="drawn_001")
    parser.add_argument("--object", type=int, default=2)
    parser.add_argument("--frames", type=int, default=8, help="pictures in a row (%(default)s)")
    parser.add_argument("--rows", nargs="+", metavar="TITLE=PATH", help="folders of `masks/`",
                        default=["first frame only=first.sam3",
                                 "re-prompted, top 3=exemplar.dinov3.top3.sam3",
                                 "re-prompted, two passes="
                                 "exemplar.dinov3.checked.sam3_ways.nearest"
                                 "@first.sam3"])  # fmt: skip
    parser.add_argument("--output", type=Path, default=Path("benchmarks/demo.png"))
    args = parser.parse_args()
    video = artifacts.read_video(args.work / f"frames/{args.video}.json")
    chosen = np.linspace(0, len(video.frames) - 1, args.frames).round().astype(int)
    rows = [
        _row(args.work, video, *row.split("=", 1), chosen=[video.frames[i] for i in chosen],
             ident=args.object)
        for row in args.rows
    ]  # fmt: skip
    picture = Image.fromarray(np.concatenate(rows))
    picture.quantize(256).save(args.output, optimize=True)  # a third of the bytes


def _anchors(work: Path, path: str, video: str) -> Path:
    """The anchors of a chain of presets, which goes on with a propagator and maybe an emission."""
    chain, at, first = path.partition("@")
    parts = chain.split(".")
    while not (found := work / f"anchors/{'.'.join(parts)}{at}{first}/{video}.json").exists():
        parts.pop()
    return found


def _row(work: Path, video: Video, title: str, path: str, chosen: list[str], ident: int) -> Pixels:
    """One recipe: a title and its pictures, those of anchors with a bold frame."""
    masks = dict(read_pngs(work / f"masks/{path}/{video.name}.zip"))
    found = _anchors(work, path, video.name)
    anchors = artifacts.read_anchors(found, video, artifacts.anchors_inputs(found))
    shown = {a.frame for a in anchors.anchors if a.object_id == ident}
    pictures: list[Pixels] = []
    for frame in chosen:
        labels = np.asarray(Image.open(io.BytesIO(masks[frame])))
        picture = _outlined(images.read_image(video.image(frame)), labels == ident, ident)
        if frame in shown:
            cv2.rectangle(picture, (0, 0), (video.width - 1, video.height - 1), (255, 255, 255), 6)
        pictures += [picture, np.full((video.height, GAP, 3), 255, np.uint8)]
    strip = np.concatenate(pictures[:-1], axis=1)
    head = Image.new("RGB", (strip.shape[1], LABEL), "white")
    ImageDraw.Draw(head).text((2, 4), title, fill="black", font_size=14)
    return np.concatenate([np.asarray(head), strip])


def _outlined(image: Pixels, mask: NDArray[np.bool_], ident: int) -> Pixels:
    """The object tinted and outlined, the rest a little paler."""
    rgb = np.array(list(bytes.fromhex(colour(ident)[1:])), float)
    picture = np.where(mask[..., None], 0.55 * image + 0.45 * rgb, 0.65 * image + 0.35 * 255)
    painted: Pixels = picture.round().astype(np.uint8)
    outline, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(painted, outline, -1, tuple(int(v) for v in rgb), 2)
    return painted


if __name__ == "__main__":
    sys.exit(main())
