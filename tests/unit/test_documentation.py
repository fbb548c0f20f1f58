"""The documents' tables agree with the code: a code, a setting or a field that is only in one of them fails here."""

from __future__ import annotations

import re

from shared.core.errors import UserErrorCode
from shared.settings import BUNDLE


def section(document: str, heading: str) -> str:
    """What stands below a heading of a document, up to the next heading."""
    text = (BUNDLE / document).read_text(encoding="utf-8")
    _, _, below = text.partition(f"\n## {heading}\n")
    assert below, f"{document} has no section {heading!r}"
    return below.partition("\n## ")[0]


def first_column(text: str) -> list[str]:
    """The names in the first cell of each row of the tables in a text."""
    cells = re.findall(r"^\| *(`[^|]*) *\|", text, re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def test_the_table_of_error_codes_has_every_code_once():
    """docs/reliability.md says of each what to do."""
    described = first_column(section("docs/reliability.md", "Error codes"))

    assert described == [code.value for code in UserErrorCode]
