"""Frames out of a video file, once, as JPEGs beside the index."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from kit.core.errors import DataError
from kit.data import mp4

JPEG_QUALITY = 95  # visually lossless; ten times smaller than PNG
_LATE = 1.6  # times the shortest: a frame that lasts so much longer leaves out another one


@dataclass
class Film:
    """What decoding a video file told.

    Attributes:
        declared: Frames according to the file.
        codec: Four letters.
        times: When each decoded frame is shown, in milliseconds.
    """

    declared: int
    codec: str
    times: list[float] = field(default_factory=list)

    def unevenness(self) -> str:
        """In words that frames last differently long, empty where they do not."""
        steps = np.diff(self.times)
        steps = steps[steps > 0]
        if not steps.size or steps.max() < _LATE * steps.min():
            return ""
        even = round((self.times[-1] - self.times[0]) / steps.min()) + 1
        return (
            f"The video's frame rate varies (a frame lasts {steps.min():.0f} to {steps.max():.0f} "
            f"ms): it holds {len(self.times)} pictures, and masks are named by these. The ffmpeg "
            f"command line makes about {even} of them, at one rate, unless it is given "
            "`-fps_mode passthrough`"
        )


def extract(source: Path, folder: Path) -> str:
    """Decode a video file into `folder` as 00000.jpg, 00001.jpg, ...

    The folder appears complete or not at all, and replaces one from an earlier call. Frames are
    those that players show: what an edit list hides is left out.

    Returns:
        A word on an uneven frame rate; empty where it is even.

    Raises:
        DataError: The file cannot be decoded, or not all of it.
    """
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        film = _decode(source, part)
        _check(source, film)
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return film.unevenness()


def _check(source: Path, film: Film) -> None:
    """Refuse a film of which frames are missing, or of which there are too many."""
    count = len(film.times)
    if not count and film.declared and film.codec.upper() == "AV01":
        raise DataError(
            f"{source}: OpenCV {cv2.__version__} opens it, finds {film.declared} frames of AV1 and "
            "decodes none. Wheels of OpenCV 5.0 have no decoder for AV1, those of 4.14 have: "
            f"pip install 'opencv-python-headless<5'; or ffmpeg -i {source.name} -fps_mode "
            f"passthrough -c:v libx264 -crf 10 {source.stem}.h264.mp4"
        )
    if not count:
        raise DataError(
            f"{source}: no frame could be decoded ({source.stat().st_size} bytes). The file is "
            "damaged, or of a format unknown to OpenCV's FFmpeg; convert it to MP4/H.264."
        )
    shown = mp4.frames_shown(source)
    wanted = film.declared if shown is None else shown
    unsure = max(2, wanted // 50)  # some containers only estimate the number
    if count < wanted - unsure:
        raise DataError(
            f"{source}: {count} frames could be decoded, but the file declares {wanted}. It "
            "is damaged or cut short; copy it again, or convert it to MP4/H.264 to keep these."
        )
    if shown is not None and count > shown + unsure:
        raise DataError(
            f"{source}: {count} frames were decoded, but its edit list shows {shown}: this OpenCV "
            f"({cv2.__version__}) does not follow it. Write the cut out: ffmpeg -i {source.name} "
            f"-fps_mode passthrough -c:v libx264 -crf 10 {source.stem}.cut.mp4"
        )


def _decode(source: Path, folder: Path) -> Film:
    capture = cv2.VideoCapture(str(source))
    codec = int(capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
    declared = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
    film = Film(declared, codec.to_bytes(4, "little").decode("latin-1"))
    try:
        while True:
            more, frame = capture.read()
            if not more:
                return film
            number = len(film.times)
            done, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
            if not done:
                raise DataError(f"{source}: frame {number} could not be encoded as JPEG.")
            (folder / f"{number:05d}.jpg").write_bytes(data.tobytes())
            film.times.append(float(capture.get(cv2.CAP_PROP_POS_MSEC)))
    finally:
        capture.release()
