"""shellcheck finds nothing in the shell scripts, and all steps begin in the same way."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from shared.settings import BUNDLE

SCRIPTS = sorted([*BUNDLE.glob("deploy/**/*.sh"), BUNDLE / ".ci/run"])


def test_shellcheck_finds_nothing():
    """shellcheck has to be installed."""
    if shutil.which("shellcheck") is None:
        pytest.fail("shellcheck is not on PATH; on Debian: apt-get install shellcheck")

    ended = subprocess.run(
        ["shellcheck", *map(str, SCRIPTS)], capture_output=True, text=True, cwd=BUNDLE, timeout=100, check=False
    )

    assert (ended.returncode, ended.stdout) == (0, "")
    assert len(SCRIPTS) > 12


@pytest.mark.parametrize("step", sorted(BUNDLE.glob("deploy/steps/*.sh")), ids=lambda path: path.stem)
def test_a_step_says_what_it_is_for_and_is_small(step):
    """The second line says it. lib.sh makes the step stop at the first failure."""
    lines = step.read_text(encoding="utf-8").splitlines()

    assert lines[0] == "#!/usr/bin/env bash"
    assert lines[1].startswith("# ")
    assert lines[2] == 'source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"'
    assert len(lines) < 60
