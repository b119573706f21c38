"""Frames out of a video file, once, as JPEGs beside the index."""

import shutil
from pathlib import Path

import cv2

from kit.core.errors import DataError

JPEG_QUALITY = 95  # visually lossless; ten times smaller than PNG


def extract(source: Path, folder: Path) -> Path:
    """Decode a video file into `folder` as 00000.jpg, 00001.jpg, ...; returns the folder.

    The folder appears complete or not at all, and replaces one from an earlier call.

    Raises:
        DataError: The file cannot be decoded, or holds no frame.
    """
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        count, declared = _decode(source, part)
        if not count:
            raise DataError(
                f"{source}: no frame could be decoded ({source.stat().st_size} bytes). The file is "
                "damaged, or of a format unknown to OpenCV's FFmpeg; convert it to MP4/H.264."
            )
        if count < declared - max(2, declared // 50):  # some containers only estimate the number
            raise DataError(
                f"{source}: {count} frames could be decoded, but the file declares {declared}. It "
                "is damaged or cut short; copy it again, or convert it to MP4/H.264 to keep these."
            )
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _decode(source: Path, folder: Path) -> tuple[int, int]:
    """Numbers of frames decoded, and declared by the file."""
    capture = cv2.VideoCapture(str(source))
    declared = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
    count = 0
    try:
        while True:
            more, frame = capture.read()
            if not more:
                return count, declared
            done, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
            if not done:
                raise DataError(f"{source}: frame {count} could not be encoded as JPEG.")
            (folder / f"{count:05d}.jpg").write_bytes(data.tobytes())
            count += 1
    finally:
        capture.release()
