"""Links between the monitors of several kinds of credit."""

from __future__ import annotations

import pytest

from shared.monitor.links import VARIABLE, other_monitors, with_others

TOKENS = "https://tokens-monitor-abc-uc.a.run.app"


@pytest.mark.parametrize(
    ("value", "links"),
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
def test_only_names_with_a_plain_address_become_links(value, links):
    """Anything else in the variable is left out."""
    environ = {} if value is None else {VARIABLE: value}

    assert other_monitors(environ) == [{"name": name, "address": address} for name, address in links]


def test_the_config_has_other_monitors_only_if_there_are_any():
    """With one kind of credit alone, the page has no line about others."""
    config = {"auth": "on", "projectId": "acme"}

    assert with_others(config, {}) == config
    assert with_others(config, {VARIABLE: f"tokens={TOKENS}"}) == {
        **config,
        "otherMonitors": [{"name": "tokens", "address": TOKENS}],
    }
