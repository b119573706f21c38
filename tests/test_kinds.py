"""Pictures that are not what they seem: each kind read as meant, or refused with a cure that works.

The whole video is written in a kind, as one program writes all of it.
"""

import json
import os
import re
import shlex
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from clips import (
    HEIGHT,
    NAMES,
    WIDTH,
    frame,
    frames_command,
    holds,
    labels,
    mask,
    picture,
    refused,
    run,
    write_clip,
)  # fmt: skip
from odd_pictures import (
    DAVIS,
    GREY,
    GREY_ALPHA,
    RGB,
    RGBA,
    Pixels,
    exif,
    palette_png,
    put,
    raw_png,
    saved,
    several,
    turned_back,
    without_adobe,
)  # fmt: skip
from PIL import Image, ImageChops

from kit.core import artifacts, jpeg, png
from kit.core.images import Frames, read_image
from kit.core.label_maps import read_labels
from kit.core.masks import encode_png
from kit.metrics import mosev2
from kit.stages import scores

Write = Callable[[Pixels], bytes]


def img(pixels: Pixels, mode: str | None = None) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return image if mode is None else image.convert(mode)


def grey(pixels: Pixels) -> Pixels:
    return np.asarray(img(pixels, "L"))


def opaque(pixels: Pixels, alpha: int = 255) -> Pixels:
    return np.concatenate([pixels, np.full((*pixels.shape[:2], 1), alpha, np.uint8)], axis=2)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "data")


def indexed(root: Path):  # type: ignore[no-untyped-def]
    output = root.parent / "clip.json"
    run(*frames_command(root, output))
    return artifacts.read_video(output)


def rewrite_frames(root: Path, write: Write) -> None:
    for number, name in enumerate(NAMES):
        frame(root, f"{name}.jpg").unlink()
        put(frame(root, f"{name}.png"), write(picture(number)))


# --- frames that are read -------------------------------------------------------------------------

READ: list[tuple[str, Write, Callable[[Pixels], Pixels]]] = [
    ("RGB PNG", lambda p: saved(img(p), "PNG"), lambda p: p),
    ("RGB with a colour profile, ignored", lambda p: saved(img(p), "PNG", icc_profile=b"x" * 200),
     lambda p: p),
    ("lossless WebP by another name", lambda p: saved(img(p), "WEBP", lossless=True), lambda p: p),
    ("8-bit grey", lambda p: saved(img(p, "L"), "PNG"), grey),
    ("4-bit grey", lambda p: raw_png(grey(p) // 16, 4, GREY), lambda p: grey(p) // 16 * 17),
    ("2-bit grey", lambda p: raw_png(grey(p) // 64, 2, GREY), lambda p: grey(p) // 64 * 85),
    ("1-bit grey", lambda p: saved(img(grey(p) > 90), "PNG"), lambda p: (grey(p) > 90) * 255),
    ("palette of 8 bits", lambda p: palette_png(grey(p), [(i, 9, 255 - i) for i in range(256)]),
     lambda p: np.stack([grey(p), grey(p) * 0 + 9, 255 - grey(p)], axis=2)),
    ("palette of 2 bits", lambda p: palette_png(grey(p) // 64, DAVIS[:4], 2),
     lambda p: np.array(DAVIS)[grey(p) // 64]),
    ("RGB, opaque", lambda p: saved(img(opaque(p)), "PNG"), lambda p: p),
    ("grey, opaque", lambda p: saved(img(p, "LA"), "PNG"), grey),
    ("palette, its transparent entry not used",
     lambda p: palette_png(grey(p) // 2, [(i, i, i) for i in range(256)], 8, b"\xff" * 255 + b"\0"),
     lambda p: grey(p) // 2),
]  # fmt: skip


@pytest.mark.parametrize(("write", "seen"), [r[1:] for r in READ], ids=[r[0] for r in READ])
def test_frames_read_as_they_are(
    write: Write, seen: Callable[[Pixels], Pixels], root: Path
) -> None:
    rewrite_frames(root, write)
    for number, found in enumerate(Frames(indexed(root))):
        wanted = seen(picture(number))
        wanted = wanted if wanted.ndim == 3 else np.repeat(wanted[..., None], 3, axis=2)
        assert np.array_equal(found, wanted)


JPEGS = [
    ("baseline", {}),
    ("progressive", {"progressive": True}),
    ("grey in three", {"subsampling": 0, "quality": 95}),
    ("with restarts", {"restart_marker_rows": 1}),
    ("with damaged EXIF", {"exif": b"Exif\0\0MM\0*\xff\xff\xff\xff"}),
]


@pytest.mark.parametrize("options", [r[1] for r in JPEGS], ids=[r[0] for r in JPEGS])
def test_jpegs_of_all_kinds(options: dict[str, object], root: Path) -> None:
    for number, name in enumerate(NAMES):
        put(frame(root, f"{name}.jpg"), saved(img(picture(number)), "JPEG", **options))
    for number, found in enumerate(Frames(indexed(root))):
        assert np.abs(found.astype(int) - picture(number)).mean() < 12


def test_the_first_picture_of_a_phone(root: Path) -> None:
    """Phones save a smaller picture behind the photograph (MPO)."""
    for number, name in enumerate(NAMES):
        small = [picture(number), picture(number)[:8, :8]]
        put(frame(root, f"{name}.jpg"), several(small, "MPO"))
    assert indexed(root).shape == (HEIGHT, WIDTH)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_frames_are_read_upright(
    orientation: int, form: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Masks that lie on the upright picture, as annotation tools export them, fit."""
    options = {"lossless": True} if form == "WEBP" else {}
    for number, name in enumerate(NAMES):
        stored = img(turned_back(picture(number), orientation))
        put(frame(root, f"{name}.jpg"), saved(stored, form, exif=exif(orientation), **options))
    straight = indexed(root)
    assert straight.shape == (HEIGHT, WIDTH)
    told = capsys.readouterr().err
    if form != "TIFF":  # which Pillow turns by itself
        assert ("5 of 5 frames are turned upright" in told) == (orientation > 1)
    for number, found in enumerate(Frames(straight)):
        assert np.abs(found.astype(int) - picture(number)).mean() < (12 if form == "JPEG" else 1)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_masks_of_the_unturned_frames(
    orientation: int, root: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Drawn over pixels as stored: refused with the reason, and both ways out work."""
    for number, name in enumerate(NAMES):
        stored = img(turned_back(picture(number), orientation))
        put(frame(root, f"{name}.jpg"), saved(stored, "JPEG", exif=exif(orientation)))
        put(mask(root, f"{name}.png"), encode_png(turned_back(labels(number), orientation)))
    told = refused(capsys, frames_command(root, tmp_path / "clip.json"))
    holds(told, ("00000.png", "24x32", "32x24", "Turned by a quarter", "EXIF", "--as-stored"))
    source = frame(root).parent
    run("convert", str(source), str(tmp_path / "out"), "--as-stored")
    shutil.rmtree(source)
    shutil.move(tmp_path / "out", source)
    video = indexed(root)
    assert video.shape == (WIDTH, HEIGHT)
    stored_first = turned_back(picture(0), orientation)
    assert np.abs(Frames(video)[0].astype(int) - stored_first).mean() < 12


# --- frames that are refused, with a cure -------------------------------------------------------


def gappy(pixels: Pixels) -> Pixels:
    found = grey(pixels).astype(np.float32)
    found[0, :2] = np.nan, np.inf
    return found


def inks(pixels: Pixels, of_adobe: bool) -> bytes:
    """A CMYK JPEG; Adobe's programs store inks inverted and say so, as Pillow does."""
    image = img(pixels, "CMYK")
    if of_adobe:
        return saved(image, "JPEG", quality=95)
    return without_adobe(saved(ImageChops.invert(image), "JPEG", quality=95))


def deep_with_alpha(pixels: Pixels) -> Pixels:
    values = grey(pixels).astype(int) * 9
    return np.stack([values, np.full_like(values, 65535)], axis=2)


def keyed(pixels: Pixels) -> bytes:
    """RGB in which one colour means transparent."""
    return saved(img(pixels), "PNG", transparency=tuple(int(v) for v in pixels[0, 0]))


DEEP = ("8 bits a channel are read", "depends on the camera")
CURED: list[tuple[str, Write, tuple[str, ...]]] = [
    ("16-bit grey", lambda p: saved(img(grey(p).astype(np.uint16) * 256), "PNG"),
     ("16-bit grey", *DEEP)),
    ("12 bits in 16", lambda p: saved(img(grey(p).astype(np.uint16) * 16), "PNG"),
     ("16-bit grey", *DEEP)),
    ("16-bit grey TIFF", lambda p: saved(img(grey(p).astype(np.uint16) * 9), "TIFF"),
     ("16-bit grey (TIFF)", *DEEP)),
    ("16-bit RGB", lambda p: raw_png(p.astype(int) * 257, 16, RGB), ("16-bit RGB", *DEEP)),
    ("10 bits in 16, RGB", lambda p: raw_png(p.astype(int) * 4, 16, RGB), ("16-bit RGB", *DEEP)),
    ("16-bit RGBA", lambda p: raw_png(opaque(p).astype(int) * 257, 16, RGBA),
     ("16-bit with transparency", *DEEP)),
    ("16-bit grey with alpha",
     lambda p: raw_png(deep_with_alpha(p), 16, GREY_ALPHA),
     ("16-bit with transparency", *DEEP)),
    ("floats", lambda p: saved(img(grey(p).astype(np.float32) / 255), "TIFF"),
     ("floating-point", *DEEP)),
    ("floats with NaN", lambda p: saved(img(gappy(p)), "TIFF"), ("floating-point", *DEEP)),
    ("32-bit integers", lambda p: saved(img(grey(p).astype(np.int32) * 1000), "TIFF"),
     ("32-bit grey", *DEEP)),
    ("a hole in RGBA", lambda p: saved(img(opaque(p, 128)), "PNG"), ("transparency", "RGB with")),
    ("a hole in grey", lambda p: raw_png(np.stack([grey(p), grey(p) // 3 + 120], 2), 8, GREY_ALPHA),
     ("transparency", "grey with")),
    ("a transparent palette entry",
     lambda p: palette_png(grey(p), [(i, i, i) for i in range(256)], 8, b"\x90" * 256),
     ("transparency", "palette")),
    ("a colour that means transparent", keyed, ("transparency", "RGB")),
    ("CMYK of Adobe", lambda p: inks(p, True), ("CMYK (JPEG)", "print")),
    ("CMYK of others", lambda p: inks(p, False), ("CMYK (JPEG)", "print")),
    ("CMYK TIFF", lambda p: saved(img(p, "CMYK"), "TIFF"), ("CMYK (TIFF)", "print")),
]  # fmt: skip


@pytest.mark.parametrize(("write", "words"), [r[1:] for r in CURED], ids=[r[0] for r in CURED])
def test_frames_that_need_a_choice(
    write: Write, words: tuple[str, ...], root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Refused with the file's name and what it is; the command in the message puts it right."""
    rewrite_frames(root, write)
    told = refused(capsys, frames_command(root, root / "clip.json"))
    holds(told, ("00000.png", *words))
    with pytest.raises(Exception, match="kit convert"):
        read_image(frame(root, "00003.png"))  # nor does training take it
    cured(told)
    for number, found in enumerate(Frames(indexed(root))):  # the same picture but for its contrast
        both = np.corrcoef(grey(found).ravel(), grey(picture(number)).ravel())
        assert both[0, 1] > 0.95


def cured(told: str) -> None:
    """Type the command of a message, and put what it wrote where the source was."""
    found = re.search(r"python -m kit (convert .+)", told)
    assert found, told
    command = shlex.split(found[1])
    run(*command)
    shutil.rmtree(command[1])
    shutil.move(command[2], command[1])


def test_one_range_for_all_frames(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A video that grows darker still does, and all of its levels are used."""
    for number, name in enumerate(NAMES):
        frame(root, f"{name}.jpg").unlink()
        values = np.full((HEIGHT, WIDTH), 900 - 100 * number, np.uint16)
        put(frame(root, f"{name}.png"), saved(img(values), "PNG"))
    cured(refused(capsys, frames_command(root, root / "clip.json")))
    assert "from 500 to 900" in capsys.readouterr().out
    levels = [int(f.max()) for f in Frames(indexed(root))]
    assert np.allclose(levels, [255, 191, 127, 64, 0], atol=1)


@pytest.mark.parametrize(
    ("form", "options"),
    [("PNG", {}), ("WEBP", {"lossless": True}), ("GIF", {}), ("TIFF", {})],
    ids=["PNG", "WebP", "GIF", "pages of a TIFF"],
)
def test_several_pictures_in_one_file(
    form: str, options: dict[str, object], root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(frame(root).parent)
    frame(root).parent.mkdir()
    put(frame(root, "00000.png"), several([picture(n) for n in range(5)], form, **options))
    told = refused(capsys, frames_command(root, root / "clip.json"))
    holds(told, ("00000.png", f"5 pictures in one file ({form})"))
    cured(told)
    for number, found in enumerate(Frames(indexed(root))):
        assert np.abs(found.astype(int) - picture(number)).mean() < 25


# --- files that are no pictures, or not whole ---------------------------------------------------


def brand(name: bytes) -> bytes:
    return b"\0\0\0\x18ftyp" + name + bytes(40)


def looped(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("../objects/ab/cdef")


def device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def sock(path: Path) -> None:
    path.unlink()
    os.chdir(path.parent)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)


def noisy(path: Path) -> bytes:
    pixels = np.random.default_rng(1).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    put(path, data := saved(img(pixels), "JPEG", quality=95))
    return data


def zeros(start: float, end: float) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        data = bytearray(noisy(path))
        first, last = (int(share * len(data)) for share in (start, end))
        data[first:last] = bytes(last - first)
        path.write_bytes(data)

    return damage


STRANGE: list[tuple[str, Callable[[Path], object], tuple[str, ...]]] = [
    ("HEIC", lambda p: put(p, brand(b"heic")), ("HEIC", "phones", "ffmpeg -i")),
    ("HEIC, several", lambda p: put(p, brand(b"mif1")), ("HEIC", "phones")),
    ("AVIF", lambda p: put(p, brand(b"avif")), ("AVIF", "ffmpeg -i")),
    ("second half zeros", zeros(0.5, 1), ("cannot be decoded", "no end marker", "copy")),
    ("end zeros", zeros(0.95, 1), ("cannot be decoded", "no end marker")),
    ("zeros in the middle", zeros(0.5, 0.7), ("cannot be decoded", "nothing but zeros")),
    ("zeros, then nothing", zeros(0, 1), ("cannot be decoded",)),
    ("a pipe", pipe, ("a named pipe", "Remove it")),
    ("a device", device, ("a device", "Remove it")),
    ("a socket", sock, ("a socket", "Remove it")),
    ("a folder", folder, ("a folder",)),
    ("a link to itself", looped, ("a link that leads back to itself",)),
    ("a link to nothing", dangling, ("a link to ../objects/ab/cdef", "Fetch")),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "words"), [r[1:] for r in STRANGE], ids=[r[0] for r in STRANGE])
@pytest.mark.parametrize("place", ["first frame", "later frame", "later mask"])
def test_what_is_no_picture(
    place: str,
    damage: Callable[[Path], object],
    words: tuple[str, ...],
    root: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(root)
    path = frame(root, "00000.jpg" if place == "first frame" else "00003.jpg")
    path = mask(root, "00003.png") if place == "later mask" else path
    damage(path)
    told = refused(capsys, frames_command(root, root / "clip.json"))
    holds(told, (path.name, *words))


@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"progressive": True}], ids=str)
@pytest.mark.parametrize("size", [(8, 8), (400, 300), (1000, 20)])
def test_whole_jpegs_are_whole(size: tuple[int, int], options: dict[str, bool]) -> None:
    """Plain pictures may be coded as nothing but zeros; bytes behind the end are nobody's."""
    for colour in ("black", "white", "grey", "red"):
        data = saved(Image.new("RGB", size, colour), "JPEG", **options)
        for behind in (b"", bytes(500), b"a phone's notes"):
            assert jpeg.flaw(data + behind) is None


# --- label maps -----------------------------------------------------------------------------------


def coloured(labels: Pixels) -> Pixels:
    return np.array(DAVIS, np.uint8)[labels]


def sorted_by_use(labels: Pixels) -> bytes:
    """As `quantize` does it: only colours that are used, in an order of its own."""
    return saved(img(coloured(labels)).quantize(256), "PNG")


def optimised(labels: Pixels) -> bytes:
    """As optimisers do it: unused colours are dropped, the rest keeps its order."""
    used = np.unique(labels)
    return palette_png(np.searchsorted(used, labels), [DAVIS[i] for i in used])


def reversed_palette(labels: Pixels) -> bytes:
    """A palette turned around, with all of its colours."""
    return palette_png(255 - labels, DAVIS[::-1])


OURS = [(0, 0, 0), (236, 95, 103), (249, 145, 87), (250, 200, 99), (1, 2, 3)]  # no DAVIS colours
CLEAR = b"\0" + b"\xff" * 4

AS_MEANT: list[tuple[str, Write]] = [
    ("palette of 8 bits", encode_png),
    ("palette of 4 bits", lambda m: palette_png(m, DAVIS[:16], 4)),
    ("palette of 2 bits", lambda m: palette_png(m, DAVIS[:4], 2)),
    ("palette of other colours", lambda m: palette_png(m, OURS)),
    ("palette with red and blue exchanged", lambda m: palette_png(m, [c[::-1] for c in DAVIS])),
    ("grey palette", lambda m: palette_png(m, [(i, i, i) for i in range(256)])),
    ("one colour for all", lambda m: palette_png(m, [(9, 9, 9)] * 256)),
    ("palette with a transparent background", lambda m: palette_png(m, OURS, 8, CLEAR)),
    ("8-bit grey", lambda m: saved(img(m), "PNG")),
    ("4-bit grey", lambda m: raw_png(m, 4, GREY)),
    ("2-bit grey", lambda m: raw_png(m, 2, GREY)),
    ("16-bit grey", lambda m: saved(img(m.astype(np.uint16)), "PNG")),
    ("grey, opaque", lambda m: saved(img(m, "LA"), "PNG")),
    ("grey, transparent background",
     lambda m: raw_png(np.stack([m, (m > 0) * 255], 2), 8, GREY_ALPHA)),
    ("RGB colours of DAVIS", lambda m: saved(img(coloured(m)), "PNG")),
    ("the same, opaque", lambda m: saved(img(opaque(coloured(m))), "PNG")),
    ("the same, half transparent", lambda m: saved(img(opaque(coloured(m), 128)), "PNG")),
    ("grey in three channels", lambda m: saved(img(np.repeat(m[..., None], 3, 2)), "PNG")),
    ("colours sorted by use", sorted_by_use),
    ("unused colours dropped", optimised),
    ("palette turned around", reversed_palette),
]  # fmt: skip


def ids_1_and_3(number: int) -> Pixels:
    """Labels 1 and 3; 1 is out of sight on frames 2 and 3."""
    found = labels(number).copy()
    found[found == 2] = 3
    if number in (2, 3):
        found[found == 1] = 0
    return found


@pytest.mark.parametrize("write", [r[1] for r in AS_MEANT], ids=[r[0] for r in AS_MEANT])
def test_label_maps_mean_what_their_writer_meant(
    write: Write, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """To the models, to training and to the scorer, whatever the official reading would be."""
    for number, name in enumerate(NAMES):
        put(mask(root, f"{name}.png"), write(ids_1_and_3(number)))
    video = indexed(root)
    assert [(o.id, o.first_frame) for o in video.objects] == [(1, "00000"), (3, "00000")]
    told = capsys.readouterr().err
    for number, name in enumerate(NAMES):
        path = mask(root, f"{name}.png")
        assert np.array_equal(read_labels(path, video.shape), ids_1_and_3(number))
        assert np.array_equal(png.decode(scores._truth(video, name)), ids_1_and_3(number))
    with Image.open(mask(root)) as image:
        odd = write in (sorted_by_use, optimised, reversed_palette) or "RGB" in image.mode
    assert ("ids are" in told) == odd


def test_one_object_as_1_bit(root: Path) -> None:
    """`Image.fromarray(mask > 0)` writes 1 bit; the official reading would be 255."""
    for number, name in enumerate(NAMES):
        put(mask(root, f"{name}.png"), saved(img(labels(number) == 1), "PNG"))
    assert [o.id for o in indexed(root).objects] == [1]
    for number, name in enumerate(NAMES):
        put(mask(root, f"{name}.png"), palette_png((labels(number) == 1) * 1, OURS[:2], 1))
    assert [o.id for o in indexed(root).objects] == [1]


def all_maps(write: Write) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        for number, name in enumerate(NAMES):
            put(mask(root, f"{name}.png"), write(labels(number)))

    return damage


def ours(m: Pixels) -> Pixels:
    return np.array(OURS, np.uint8)[m]


def binary(m: Pixels) -> Pixels:
    return (m > 0) * np.uint8(255)


def black_elsewhere(m: Pixels) -> bytes:
    return palette_png((m + 2) % 3, [OURS[1], OURS[2], OURS[0]])


def moving(root: Path) -> None:
    """Our own colours, in another order in later files; black stays first."""
    for number, name in enumerate(NAMES):
        other = number > 2
        indices = np.array([0, 2, 1])[labels(number)] if other else labels(number)
        colours = [OURS[0], OURS[2], OURS[1]] if other else OURS[:3]
        put(mask(root, f"{name}.png"), palette_png(indices, colours))


def blurred(m: Pixels) -> bytes:
    return saved(img(ours(m)).resize((16, 12), 2).resize((WIDTH, HEIGHT), 2), "PNG")


def high_ids(m: Pixels) -> bytes:
    return saved(img(m.astype(np.uint16) * 300), "PNG")


def film(m: Pixels) -> bytes:
    return several([m, m * 0], "PNG")


def hidden(m: Pixels) -> bytes:
    return palette_png(m, OURS[:3], 8, b"\xff\xff\0")


NO_IDS: list[tuple[str, Callable[[Path], None], tuple[str, ...], bool]] = [
    ("colours of our own", all_maps(lambda m: saved(img(ours(m)), "PNG")),
     ("mode RGB", "do not tell them"), True),
    ("the same with alpha", all_maps(lambda m: saved(img(opaque(ours(m))), "PNG")),
     ("mode RGBA", "do not tell them"), True),
    ("black and white in RGB", all_maps(lambda m: saved(img(binary(m), "RGB"), "PNG")),
     ("255 means void",), True),
    ("0/255 grey", all_maps(lambda m: saved(img(binary(m)), "PNG")),
     ("255 means void", "0/255"), True),
    ("0/255 palette", all_maps(lambda m: encode_png(binary(m))),
     ("255 means void", "0/255"), True),
    ("black is another entry", all_maps(black_elsewhere), ("palette", "another order", "black"),
     True),
    ("entries that move", moving,
     ("00003.png", "(249, 145, 87)", "is entry 1", "entry 2 in 00000.png"), True),
    ("DAVIS in another order, unused colours too",
     all_maps(lambda m: palette_png(m, [DAVIS[0], *DAVIS[5:20]])), ("DAVIS", "not told"), True),
    ("ids of 300", all_maps(high_ids), ("object id 600", "1 to 254"), True),
    ("ids to 65535", all_maps(lambda m: saved(img(m.astype(np.uint16) * 32767), "PNG")),
     ("object id 65534",), True),
    ("16-bit RGB", all_maps(lambda m: raw_png(np.repeat(m[..., None], 3, 2), 16, RGB)),
     ("16-bit RGB", "stand for none"), False),
    ("16-bit grey with alpha", all_maps(lambda m: raw_png(np.stack([m, m], 2), 16, GREY_ALPHA)),
     ("16-bit with transparency",), False),
    ("BMP", all_maps(lambda m: saved(img(m), "BMP")), ("a BMP, expected a PNG",), True),
    ("WebP", all_maps(lambda m: saved(img(coloured(m)), "WEBP", lossless=True)),
     ("a WEBP, expected a PNG",), True),
    ("GIF", all_maps(lambda m: saved(img(m), "GIF")), ("a GIF, expected a PNG",), True),
    ("JPEG", all_maps(lambda m: saved(img(m), "JPEG")), ("a JPEG, expected a PNG", "Lossy"), False),
    ("turned by EXIF", all_maps(lambda m: saved(img(m), "PNG", exif=exif(3))),
     ("EXIF orientation 3",), False),
    ("turned twice by EXIF", all_maps(lambda m: saved(img(m), "PNG", exif=exif(2))),
     ("EXIF orientation 2",), False),
    ("an object that cannot be seen", all_maps(hidden), ("object 2", "transparency"), False),
    ("grey that cannot be seen",
     all_maps(lambda m: raw_png(np.stack([m, (m == 1) * 255], 2), 8, GREY_ALPHA)),
     ("object 2", "transparency"), False),
    ("animated", all_maps(film), ("2 pictures in one file",), False),
    ("blurred edges", all_maps(blurred), ("mode RGB", "do not tell them"), False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("damage", "words", "works"), [r[1:] for r in NO_IDS], ids=[r[0] for r in NO_IDS]
)
def test_label_maps_that_do_not_tell_ids(
    damage: Callable[[Path], None],
    words: tuple[str, ...],
    works: bool,
    root: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damage(root)
    told = refused(capsys, frames_command(root, root / "clip.json"))
    holds(told, ("Annotations/clip", *words, "kit convert", "--labels"))
    if works:  # the regions are those drawn, under ids that the command tells
        cured(told)
        objects = [o.id for o in indexed(root).objects]
        assert objects in ([1, 2], [1])
        for number, name in enumerate(NAMES):
            found, drawn = read_labels(mask(root, f"{name}.png")), labels(number)
            assert np.array_equal(found > 0, drawn > 0)
            both = {(int(a), int(b)) for a, b in zip(found.ravel(), drawn.ravel(), strict=True)}
            assert objects == [1] or len(both) == 3  # one id each


VOID = [
    ("palette", lambda m: encode_png(m)),
    ("grey", lambda m: saved(img(m), "PNG")),
    ("16-bit grey", lambda m: saved(img(m.astype(np.uint16)), "PNG")),
    ("RGB", lambda m: saved(img(coloured(m)), "PNG")),
]


@pytest.mark.parametrize("place", [0, 3])
@pytest.mark.parametrize("write", [r[1] for r in VOID], ids=[r[0] for r in VOID])
def test_void_is_no_object_and_stops_nothing(write: Write, place: int, root: Path) -> None:
    """DAVIS, VOST and LVOS mark pixels that nobody decided."""
    for number, name in enumerate(NAMES):
        found = labels(number).copy()
        if number >= place:
            found[:3] = 255
        put(mask(root, f"{name}.png"), write(found))
    video = indexed(root)
    assert [(o.id, o.first_frame) for o in video.objects] == [(1, "00000"), (2, "00000")]
    truth = [scores._truth(video, name) for name in NAMES]
    without = [encode_png(labels(number)) for number in range(5)]
    results = mosev2.evaluate_video(truth, without, [1, 2])
    assert [r.measures["J"] for r in results] == [1.0, 1.0]  # by MOSEv2's rule: not this object


def test_an_official_score_of_other_ids_is_told(tmp_path: Path) -> None:
    """`kit score` reads as the organisers do, and says when that is not what was meant."""
    for side, write in (("gt", optimised), ("pred", reversed_palette)):
        for video in ("a", "b"):
            (tmp_path / side / video).mkdir(parents=True)
            for number, name in enumerate(NAMES):
                data = write(ids_1_and_3(number))
                (tmp_path / side / video / f"{name}.png").write_bytes(data)
    entry = {"length": 5, "height": HEIGHT, "width": WIDTH, "objects": [1, 3]}
    meta = {"videos": {"a": entry, "b": entry}}
    (tmp_path / "meta.json").write_text(json.dumps(meta))
    found = mosev2.evaluate(tmp_path / "gt", tmp_path / "pred", tmp_path / "meta.json")
    told = "\n".join(found["warnings"])
    for side in ("ground truth", "prediction"):
        assert f"a: {side} is a palette image with the DAVIS colours in another order" in told
