"""The documents agree with the code: a code, a setting, a file or a version that is only in one of them fails here."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from shared.core.errors import UserErrorCode
from shared.edge.answers import direct_answer, queue_answer, worker_answer
from shared.edge.pages import PagePosition
from shared.services.reports import BuildReport, BuildStatus, PageReport, WorkReport
from shared.settings import BUNDLE, PREFIX, UNPREFIXED, Settings

DOCUMENTS = [BUNDLE / "README.md", BUNDLE / "CONTRIBUTING.md", *sorted(BUNDLE.glob("docs/*.md"))]
FILE_NAME = re.compile(r"`([A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)+\.(?:css|html|in|js|json|md|py|sh|toml|txt|yml))`")


def text_of(document: str) -> str:
    return (BUNDLE / document).read_text(encoding="utf-8")


def section(document: str, heading: str) -> str:
    """The text below a heading of a document, up to the next heading."""
    _, _, below = text_of(document).partition(f"\n## {heading}\n")
    assert below, f"{document} has no section {heading!r}"
    return below.partition("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """The cells of each row of the tables in a text, without heads and rules."""
    lines = [line.strip().strip("|") for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.split("|")] for line in lines]


def test_the_table_of_error_codes_has_every_code():
    """docs/reliability.md has the table."""
    described = [row[0] for row in rows(section("docs/reliability.md", "Error codes"))]

    assert described == [f"`{code}`" for code in UserErrorCode]


def documented_settings() -> dict[str, str]:
    """Each variable of docs/settings.md with its default."""
    return {row[0].strip("`"): row[1].strip("`") for row in rows(text_of("docs/settings.md"))}


def default_of(name: str) -> str:
    default = Settings.model_fields[name].default
    if default is None:
        return ""
    return str(default.relative_to(BUNDLE)) if isinstance(default, Path) else str(default)


def test_the_table_of_settings_has_every_setting_with_its_default():
    """docs/settings.md is the one place that lists them."""
    settings = {UNPREFIXED.get(name, PREFIX + name.upper()): default_of(name) for name in Settings.model_fields}

    assert settings == documented_settings()


def documented_answer(function: str) -> set[str]:
    """The fields of a function's answer in docs/functions.md."""
    (row,) = (row for row in rows(section("docs/functions.md", "Answers")) if row[0] == f"`{function}`")
    return set(re.findall(r"`(\w+)`", row[1]))


@pytest.mark.parametrize(
    ("function", "answer"),
    [
        ("credit_refresh_queue", queue_answer(BuildReport("2026-11-22", BuildStatus.PAUSED))),
        ("credit_refresh_worker", worker_answer(WorkReport())),
        ("credit_refresh", direct_answer(PageReport.of([], None, has_more=False), PagePosition.parse(None))),
    ],
)
def test_the_fields_of_an_answer_are_documented(function, answer):
    """The table has each function's own fields. `errors` of all functions stands above it."""
    assert documented_answer(function) == answer.keys() - {"errors", "errorsTotal"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_a_document_names_exists(document):
    """Documents name files by their path from the top of the repository."""
    missing = [name for name in FILE_NAME.findall(document.read_text("utf-8")) if not (BUNDLE / name).is_file()]

    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_to_a_file_or_a_heading(document):
    """A link may name a file of the repository, a heading of it, or both."""
    links = re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)", document.read_text("utf-8"))
    broken = [
        (path, heading)
        for path, heading in links
        if not (target := (document.parent / path if path else document)).exists()
        or (heading and heading not in headings(target))
    ]

    assert broken == []


def headings(document: Path) -> set[str]:
    """The names that links to a document's headings use."""
    titles = re.findall(r"^#+ (.+)$", document.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_changelog_and_package_have_the_same_version():
    """The newest release in CHANGELOG.md has the version of pyproject.toml."""
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$", text_of("CHANGELOG.md"), re.MULTILINE)

    assert tomllib.loads(text_of("pyproject.toml"))["project"]["version"] == released[0]
