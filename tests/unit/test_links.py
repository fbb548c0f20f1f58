"""Links between the monitors of several kinds of credit."""

from __future__ import annotations

import pytest

from shared.monitor.links import VARIABLE, other_monitors, with_others

TOKENS = "https://tokens-monitor-abc-uc.a.run.app"


@pytest.mark.parametrize(
    ("answer", "links"),
    [
        (None, []),
        ("", []),
        (f"tokens={TOKENS}", [("tokens", TOKENS)]),
        (
            f"tokens={TOKENS},a-b=http://127.0.0.1:8080/run/m",
            [("tokens", TOKENS), ("a-b", "http://127.0.0.1:8080/run/m")],
        ),
        ("tokens=javascript:alert(1)", []),
        (f"to kens={TOKENS}", []),
        (f"tokens={TOKENS}/?a=<b>", []),
    ],
)
def test_only_links_are_links(answer, links):
    """Whatever else stands there is left out."""
    environ = {} if answer is None else {VARIABLE: answer}

    assert other_monitors(environ) == [{"name": name, "address": address} for name, address in links]


def test_the_page_is_told_of_them_only_if_there_are_any():
    """One kind of credit alone has no line about others."""
    config = {"auth": "on", "projectId": "acme"}

    assert with_others(config, {}) == config
    assert with_others(config, {VARIABLE: f"tokens={TOKENS}"}) == {
        **config,
        "otherMonitors": [{"name": "tokens", "address": TOKENS}],
    }
