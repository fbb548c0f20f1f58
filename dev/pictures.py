"""Making screenshots small: a PNG of 256 colours, which a page of few colours hardly misses, takes half the room."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOURS_MAX = 256
BUCKET_BITS = 4  # of the eight, which make no difference
RGB, PALETTE = 2, 3  # PNG's colour types
Colour = bytes  # red, green, blue


def smaller(picture: bytes) -> bytes:
    """The same picture in 256 colours at most. It must be a PNG as browsers make them: RGB, 8 bits."""
    chunks = list(_chunks(picture))
    header = dict(chunks)[b"IHDR"]
    if header[8:13] != bytes([8, RGB, 0, 0, 0]):
        raise ValueError(f"not a plain RGB picture: {header[8:13]!r}")
    rows = list(_rows(zlib.decompress(b"".join(data for name, data in chunks if name == b"IDAT")), header))
    pixels = [[row[start : start + 3] for start in range(0, len(row), 3)] for row in rows]
    index_of = _indexes(Counter(colour for row in pixels for colour in row))
    palette = b"".join(list(index_of)[:COLOURS_MAX])
    data = b"".join(bytes([0, *(index_of[colour] for colour in row)]) for row in pixels)
    made = [
        _chunk(b"IHDR", header[:9] + bytes([PALETTE]) + header[10:]),
        _chunk(b"PLTE", palette),
        _chunk(b"IDAT", zlib.compress(data, 9)),
        _chunk(b"IEND", b""),
    ]
    return SIGNATURE + b"".join(made)


def _chunks(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(SIGNATURE)
    while at < len(picture):
        length = int.from_bytes(picture[at : at + 4], "big")
        yield picture[at + 4 : at + 8], picture[at + 8 : at + 8 + length]
        at += length + 12


def _chunk(name: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")


def _indexes(colours: Counter[Colour]) -> dict[Colour, int]:
    """A number for each colour, the same for those so alike that nobody sees it: they share a bucket."""
    first_of: dict[Colour, Colour] = {}
    for colour, _ in colours.most_common():
        first_of.setdefault(_bucket(colour), colour)
    kept = {colour: index for index, colour in enumerate(list(first_of.values())[:COLOURS_MAX])}
    return kept | {colour: kept.get(first_of[_bucket(colour)], 0) for colour in colours.keys() - kept.keys()}


def _bucket(colour: Colour) -> Colour:
    return bytes(value >> BUCKET_BITS for value in colour)


def _rows(data: bytes, header: bytes) -> Iterator[bytes]:
    """The rows as they were before PNG's filters, which tell each byte by its neighbours."""
    width = int.from_bytes(header[:4], "big") * 3
    above = bytes(width)
    for at in range(0, len(data), width + 1):
        above = _unfiltered(data[at], data[at + 1 : at + 1 + width], above)
        yield above


def _unfiltered(kind: int, row: bytes, above: bytes) -> bytes:
    if kind == 0:
        return row
    if kind == 2:
        return bytes((a + b) & 255 for a, b in zip(row, above, strict=True))
    found = bytearray(3)  # the pixel to the left of the first
    for index, value in enumerate(row):
        left, up = found[index], above[index]
        corner = above[index - 3] if index >= 3 else 0
        guess = (left, 0, (left + up) // 2, _paeth(left, up, corner))[kind - 1]
        found.append((value + guess) & 255)
    return bytes(found[3:])


def _paeth(left: int, up: int, corner: int) -> int:
    """PNG's own: whichever of the three is nearest to left + up - corner."""
    guess = left + up - corner
    return min((left, up, corner), key=lambda value: abs(guess - value))
