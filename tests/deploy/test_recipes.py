"""The Makefile's recipes work in any POSIX shell, because macOS and Alpine have no GNU tools and no bash as /bin/sh."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from shared.settings import BUNDLE

GNU_ONLY = re.compile(r"sed -i|sed .*\\t|grep -[a-zA-Z]*[Ph]|readlink -f|\bfind [^|]*-printf|xargs -r|echo -[en]")


def recipes() -> list[str]:
    """The recipes as the shell gets them. Variables are replaced by a word."""
    text = re.sub(r"\s*\\\n\s*", " ", (BUNDLE / "Makefile").read_text())
    found = re.findall(r"(?:^\t.*\n)+", text, re.MULTILINE)
    lines = ["\n".join(line.lstrip("\t@") for line in each.splitlines()) + "\n" for each in found]
    return [re.sub(r"\$([({][^)}]*[)}]|@)", "value", each).replace("$$", "$") for each in lines]


def test_recipes_are_plain_posix_shell():
    """shellcheck has to be installed."""
    if shutil.which("shellcheck") is None:
        pytest.fail("shellcheck is not on PATH; on Debian: apt-get install shellcheck")

    script = "#!/bin/sh\n" + "".join(recipes())
    ended = subprocess.run(
        ["shellcheck", "-s", "sh", "-"], input=script, capture_output=True, text=True, timeout=60, check=False
    )

    assert (ended.returncode, ended.stdout) == (0, "")
    assert len(recipes()) > 10


def test_recipes_use_no_option_that_only_gnu_tools_know():
    """This covers the tools that they call."""
    assert [each for each in recipes() if GNU_ONLY.search(each)] == []


@pytest.mark.parametrize("recipe", [r"sed 's/a/\t/' x", "sed -i s/a/b/ x", "grep -hE a x", "readlink -f x"])
def test_gnu_options_are_noticed(recipe):
    """So the test above can fail."""
    assert GNU_ONLY.search(recipe)
