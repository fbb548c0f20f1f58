"""`make audit` fails if a package has a known vulnerability. If it could not ask, it says so."""

from __future__ import annotations

import json

import pytest

from dev.audit import npm_verdict, python_verdict

CLEAN = {"name": "flask", "version": "3.1.3", "vulns": []}
FLAWED = {"name": "jinja2", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.0"]}]}
SKIPPED = {"name": "croniter", "skip_reason": "Dependency not found on PyPI and could not be audited: croniter (7.0.0)"}
NPM = {"metadata": {"dependencies": {"total": 784}}}


@pytest.mark.parametrize(
    ("packages", "found", "line"),
    [
        ([CLEAN], False, "pip-audit: 1 packages asked about: no known vulnerability"),
        ([CLEAN, FLAWED], True, "pip-audit: 2 packages asked about:\n  jinja2 1.0: PYSEC-1"),
        (
            [CLEAN, SKIPPED],
            False,
            "pip-audit: 1 packages asked about; 1 could not be asked about: no known vulnerability",
        ),
        ([SKIPPED], False, f"pip-audit: could not ask, so nothing was checked: {SKIPPED['skip_reason']}"),
        ([], False, 'pip-audit: could not ask, so nothing was checked: {"dependencies": []}'),
    ],
)
def test_the_line_names_what_pip_audit_found(packages, found, line):
    """It also says how many packages were asked about."""
    verdict = python_verdict(json.dumps({"dependencies": packages}))

    assert (verdict.found, verdict.line) == (found, line)


@pytest.mark.parametrize("judge", [python_verdict, npm_verdict])
@pytest.mark.parametrize("printed", ["", "Traceback\nConnectionError: no route", "[]", "{}", "npm is not on PATH"])
def test_an_audit_that_was_not_made_says_so(judge, printed):
    """It does not fail, because nothing was found."""
    verdict = judge(printed)

    assert "could not ask, so nothing was checked" in verdict.line
    assert not verdict.found
    assert len(verdict.line.splitlines()) == 1


@pytest.mark.parametrize(
    ("flaws", "found", "line"),
    [
        ({}, False, "npm audit: 784 packages asked about: no known vulnerability"),
        ({"tar": {"severity": "high"}}, True, "npm audit: 784 packages asked about:\n  tar: high"),
    ],
)
def test_the_line_names_what_npm_audit_found(flaws, found, line):
    """Each vulnerable package has its severity."""
    verdict = npm_verdict(json.dumps({**NPM, "vulnerabilities": flaws}))

    assert (verdict.found, verdict.line) == (found, line)


def test_the_line_quotes_why_npm_could_not_ask():
    verdict = npm_verdict(json.dumps({"message": "405 Method Not Allowed"}))

    assert verdict.line == "npm audit: could not ask, so nothing was checked: 405 Method Not Allowed"
