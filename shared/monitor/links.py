"""Links from one kind of credit's monitor to those of the others in the same project.

The deployment knows them and tells the monitor in an environment variable of its own, which is no setting: nobody has
to set it. Without it there is no link.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

VARIABLE = "OTHER_MONITORS"  # PREFIX=ADDRESS, and so on with commas between them

_LINK = re.compile(r"([A-Za-z][A-Za-z0-9_-]{0,63})=(https?://[A-Za-z0-9.:-]+(?:/[A-Za-z0-9._~/-]*)?)")


def other_monitors(environ: Mapping[str, str]) -> list[dict[str, str]]:
    """Name and address of each; what is no link is left out."""
    found = [_LINK.fullmatch(each.strip()) for each in environ.get(VARIABLE, "").split(",")]
    return [{"name": each[1], "address": each[2]} for each in found if each]


def with_others(config: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """What the page is told before anyone has signed in, and the other monitors if there are any."""
    others = other_monitors(environ)
    return {**config, "otherMonitors": others} if others else {**config}
