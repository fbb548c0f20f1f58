"""Screenshots become smaller and look the same. The error for a missing browser says what to install."""

from __future__ import annotations

import random
from io import BytesIO

import pytest
from PIL import Image, ImageChops

from dev.browser import find_chromium
from dev.pictures import reduce_colours

COLOURS = [(red, green, blue) for red in (0, 128, 255) for green in (7, 200) for blue in (20, 90, 250)]


def picture(pixels):
    """A PNG with rows of 30 pixels."""
    image, made = Image.new("RGB", (30, len(pixels) // 30)), BytesIO()
    image.putdata(pixels)
    image.save(made, "PNG")
    return made.getvalue()


def largest_difference(one, other):
    """The largest difference in one colour of one pixel."""
    difference = ImageChops.difference(*(Image.open(BytesIO(each)).convert("RGB") for each in (one, other)))
    return max(difference.tobytes())


def test_a_picture_of_few_colours_stays_as_it_is():
    """No pixel changes, and the file has a palette."""
    taken = picture(random.Random(3).choices(COLOURS, k=600))
    made = reduce_colours(taken)

    assert largest_difference(taken, made) == 0
    assert Image.open(BytesIO(made)).mode == "P"


def test_a_picture_of_many_colours_changes_too_little_to_be_seen():
    """Nearly equal colours become equal, and the file becomes smaller."""
    draw = random.Random(4)
    taken = picture([(200 + draw.randrange(16), 40, draw.randrange(256)) for _ in range(9000)])
    made = reduce_colours(taken)

    assert largest_difference(taken, made) < 16
    assert len(made) < 0.6 * len(taken)


@pytest.mark.parametrize("wanted", ["", "/nowhere/chromium"])
def test_the_error_for_a_missing_browser_names_the_package_to_install(monkeypatch, wanted):
    """The browser tests are not skipped then, because whoever starts them wants them to run."""
    monkeypatch.setenv("CHROMIUM", wanted)
    monkeypatch.setenv("PATH", "")

    with pytest.raises(RuntimeError, match="apt-get install chromium"):
        find_chromium()


def test_the_browser_that_the_environment_names_is_used(monkeypatch, tmp_path):
    """`CHROMIUM` is read before PATH."""
    (tmp_path / "browser").write_text("")
    (tmp_path / "browser").chmod(0o755)
    monkeypatch.setenv("CHROMIUM", str(tmp_path / "browser"))

    assert find_chromium() == str(tmp_path / "browser")
