"""The fast way to labels against Pillow."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kit.core import png


def pillow(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("P"))


def chunk(kind, content):
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def encode(rows, depth, colour, filters, pieces=1):
    """A PNG of packed rows (uint8[H, bytes]) with the given filter of each row."""
    body = b""
    above = np.zeros(rows.shape[1], int)
    for row, kind in zip(rows.astype(int), filters, strict=True):
        left, corner = np.roll(row, 1), np.roll(above, 1)
        left[0] = corner[0] = 0
        guess = [0 * row, left, above, (left + above) // 2, paeth(left, above, corner)][kind]
        body += bytes([kind]) + ((row - guess) % 256).astype(np.uint8).tobytes()
        above = row
    packed = zlib.compress(body)
    parts = [bytes(p) for p in np.array_split(np.frombuffer(packed, np.uint8), pieces)]
    header = struct.pack(">IIBBBBB", rows.shape[1] * 8 // depth, len(rows), depth, colour, 0, 0, 0)
    chunks = [chunk(b"IHDR", header)]
    if colour == 3:
        chunks.append(chunk(b"PLTE", bytes(range(256)) * 3))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [*chunks, *(chunk(b"IDAT", part) for part in parts), chunk(b"IEND", b"")]
    )


def paeth(left, above, corner):
    guess = left + above - corner
    far = np.abs(np.stack([guess - left, guess - above, guess - corner]))
    return np.choose(far.argmin(axis=0), [left, above, corner])


@given(
    st.integers(0, 2**32),
    st.sampled_from([(1, 3), (2, 3), (4, 3), (8, 3), (8, 0)]),
    st.lists(st.integers(0, 4), min_size=1, max_size=6),
    st.integers(1, 3),
)
@settings(deadline=None)
def test_every_filter_and_depth(seed, kind, filters, pieces):
    rows = np.random.default_rng(seed).integers(0, 256, (len(filters), 5), dtype=np.uint8)
    data = encode(rows, *kind, filters, pieces)
    labels = png.decode_plain(data)
    assert labels is not None  # not left to Pillow
    assert np.array_equal(labels, pillow(data))


def outcome(function, data):
    try:
        return function(data).tolist()
    except Exception as error:
        return type(error)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_damaged_files_fare_as_with_pillow(data):
    """Cut, changed in one byte, or with bytes put in: the same labels or the same error."""
    rows = np.arange(48, dtype=np.uint8).reshape(6, 8) // 9
    whole = encode(rows, 8, data.draw(st.sampled_from([0, 3])), [0] * 6, 2)
    at = data.draw(st.integers(0, len(whole) - 1))
    byte = bytes([data.draw(st.integers(0, 255))])
    broken = data.draw(
        st.sampled_from(
            [whole[:at], whole[:at] + byte + whole[at + 1 :], whole[:at] + byte + whole[at:]]
        )
    )
    assert outcome(png.decode, broken) == outcome(pillow, broken)


@pytest.mark.parametrize("rows", [2, 5])
def test_intact_data_of_another_length_fare_as_with_pillow(rows):
    """The header says 4 rows, the data are sound but of fewer or more."""
    data = encode(np.full((rows, 6), 3, np.uint8), 8, 3, [0] * rows)
    header = data[12:20] + (4).to_bytes(4, "big") + data[24:29]
    data = data[:12] + header + zlib.crc32(header).to_bytes(4, "big") + data[33:]
    assert png.decode_plain(data) is None
    assert outcome(png.decode, data) == outcome(pillow, data)


@pytest.mark.parametrize(
    ("mode", "options", "words"),
    [
        ("P", {}, None),
        ("P", {"bits": 2}, None),
        ("L", {}, None),
        ("LA", {}, None),
        ("RGB", {}, "web palette"),
        ("RGBA", {}, "web palette"),
        ("1", {}, "1-bit grey"),
        ("I;16", {}, "16-bit"),
    ],
)
def test_trouble_with_ids(mode, options, words):
    """Kinds whose ids survive, and what is said of those whose ids do not."""
    image = Image.fromarray(np.array([[0, 1], [2, 3]], np.uint8), "P")
    image.putpalette(bytes(range(48)))
    if mode != "P":
        image = Image.fromarray(np.array([[0, 1], [2, 3]], np.uint8)).convert(mode)
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    trouble = png.trouble(file.getvalue(), png.decode(file.getvalue()))
    assert trouble is None if words is None else words in trouble


def test_trouble_with_other_files():
    nothing = np.zeros((2, 2), np.uint8)
    assert png.trouble(b"\xff\xd8\xff" + bytes(60), nothing) == "not a PNG"


def test_without_the_fast_inflater(monkeypatch):
    """The fallback of zlib gives the same and refuses more data than declared."""
    data = encode(np.full((4, 6), 9, np.uint8), 8, 3, [0, 1, 2, 4])
    monkeypatch.setattr(png, "zlib_decompress", png._inflate_slowly)
    monkeypatch.setattr(png, "DeflateError", zlib.error)
    assert np.array_equal(png.decode_plain(data), pillow(data))
    with pytest.raises(zlib.error, match="more data"):
        png._inflate_slowly(memoryview(zlib.compress(bytes(100))), 99)
