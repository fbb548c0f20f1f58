"""Screenshots are made small without making them other pictures; and a missing browser is told."""

from __future__ import annotations

import random
import zlib

import pytest

from dev.browser import find_chromium
from dev.pictures import smaller

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOURS = [bytes([red, green, blue]) for red in (0, 128, 255) for green in (7, 200) for blue in (20, 90, 250)]


def chunk(name, data):
    return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")


def png(rows, kinds, kind=2):
    """A PNG whose rows are filtered each in its way, as browsers choose them."""
    above, data = bytes(len(rows[0])), b""
    for row, filtered_as in zip(rows, kinds, strict=True):
        data += bytes([filtered_as]) + filtered(filtered_as, row, above)
        above = row
    size = (len(rows[0]) // 3).to_bytes(4, "big") + len(rows).to_bytes(4, "big")
    header = chunk(b"IHDR", size + bytes([8, kind, 0, 0, 0]))
    return SIGNATURE + header + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def filtered(kind, row, above):
    """By the PNG specification, chapter 9."""
    found = []
    for index, value in enumerate(row):
        a, b, c = (row[index - 3] if index > 2 else 0), above[index], (above[index - 3] if index > 2 else 0)
        p = a + b - c
        nearest = min(abs(p - a), abs(p - b), abs(p - c))
        paeth = a if abs(p - a) == nearest else b if abs(p - b) == nearest else c
        found.append((value - [0, a, b, (a + b) // 2, paeth][kind]) & 255)
    return bytes(found)


def unpacked(picture):
    """The pixels of a picture with a palette."""
    chunks, at = {}, 8
    while at < len(picture):
        length = int.from_bytes(picture[at : at + 4], "big")
        name, data = picture[at + 4 : at + 8], picture[at + 8 : at + 8 + length]
        assert picture[at + 8 + length : at + 12 + length] == zlib.crc32(name + data).to_bytes(4, "big")
        chunks[name], at = data, at + 12 + length
    width = int.from_bytes(chunks[b"IHDR"][:4], "big")
    data, palette = zlib.decompress(chunks[b"IDAT"]), chunks[b"PLTE"]
    assert len(palette) <= 768
    rows = [data[start + 1 : start + 1 + width] for start in range(0, len(data), width + 1)]
    return [b"".join(palette[3 * index : 3 * index + 3] for index in row) for row in rows]


@pytest.mark.parametrize("kinds", [[0] * 5, [1] * 5, [2] * 5, [3] * 5, [4] * 5, [0, 1, 2, 3, 4], [4, 3, 2, 1, 0]])
def test_a_picture_of_few_colours_stays_as_it_is(kinds):
    """However its rows were filtered."""
    draw = random.Random(3)
    rows = [b"".join(draw.choices(COLOURS, k=9)) for _ in kinds]

    assert unpacked(smaller(png(rows, kinds))) == rows


def test_a_picture_of_many_colours_changes_by_less_than_is_seen():
    """Colours that are nearly the same become the same."""
    draw = random.Random(4)
    rows = [b"".join(bytes([200 + draw.randrange(16), 40, draw.randrange(256)]) for _ in range(60)) for _ in range(20)]
    made = unpacked(smaller(png(rows, [0] * 20)))

    assert max(abs(a - b) for row, other in zip(rows, made, strict=True) for a, b in zip(row, other, strict=True)) < 16
    assert len(smaller(png(rows, [0] * 20))) < len(png(rows, [0] * 20))


def test_a_picture_of_another_kind_is_refused():
    """Rather than garbled."""
    with pytest.raises(ValueError, match="not a plain RGB picture"):
        smaller(png([b"\0\0\0"], [0], kind=6))


@pytest.mark.parametrize("wanted", ["", "/nowhere/chromium"])
def test_a_missing_browser_is_told_with_the_package_to_install(monkeypatch, wanted):
    """A failure, not a skip: who runs the browser tests means them."""
    monkeypatch.setenv("CHROMIUM", wanted)
    monkeypatch.setenv("PATH", "")

    with pytest.raises(RuntimeError, match="apt-get install chromium"):
        find_chromium()


def test_a_browser_that_is_named_is_the_one(monkeypatch, tmp_path):
    """`CHROMIUM` goes before whatever is on PATH."""
    (tmp_path / "browser").write_text("")
    (tmp_path / "browser").chmod(0o755)
    monkeypatch.setenv("CHROMIUM", str(tmp_path / "browser"))

    assert find_chromium() == str(tmp_path / "browser")
