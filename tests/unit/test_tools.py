"""Modules that are not deployed can still be imported. A name that moved in `shared` is noticed here."""

from __future__ import annotations

import importlib

import pytest

from shared.settings import BUNDLE

TOOLS = [
    ".".join(path.relative_to(BUNDLE).with_suffix("").parts)
    for folder in ("bench", "deploy", "dev")
    for path in sorted((BUNDLE / folder).glob("*.py"))
    if path.stem != "__main__"  # it is run, never imported
]


@pytest.mark.parametrize("module", TOOLS)
def test_every_tool_can_be_imported(module):
    """Each has a docstring."""
    assert importlib.import_module(module).__doc__
