"""Prints the results and writes them into the pages that show them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = (ROOT / "README.md", ROOT / "docs" / "benchmarks.md")


@dataclass(frozen=True, slots=True)
class Record:
    """Prints a text and writes it into every page between the markers of its name. Without pages it only prints."""

    pages: tuple[Path, ...] = PAGES

    def show(self, name: str, text: str) -> None:
        print(f"{text}\n", flush=True)
        between_markers = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        for page in self.pages:
            old = page.read_text(encoding="utf-8")
            new = between_markers.sub(lambda found: f"{found[1]}\n{text}\n\n{found[2]}", old)
            if new != old:
                page.write_text(new, encoding="utf-8")
