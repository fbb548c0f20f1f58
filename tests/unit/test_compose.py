"""The compose file names files, programs and settings that exist. These tests need no container engine."""

from __future__ import annotations

import shlex

import pytest
import yaml

from dev import serve
from dev.console import read_number
from dev.serve_options import OPTIONS
from shared.settings import BUNDLE

FILE = BUNDLE / "dev" / "compose.yaml"


@pytest.fixture(scope="module")
def service():
    return yaml.safe_load(FILE.read_text())["services"]["credit-refresh"]


def test_the_command_names_a_file_and_a_program_that_exist(service):
    """The list of packages is a file, and the program accepts the arguments."""
    make_venv, install, start = (shlex.split(part) for part in service["command"][-1].split("&&"))

    assert make_venv == ["python", "-m", "venv", "/venv"]
    assert (BUNDLE / install[-1]).is_file()
    assert start[:4] == ["exec", "/venv/bin/python", "-m", serve.__name__]
    assert str(serve._arguments(start[4:])) == service["healthcheck"]["test"][-1]


def test_it_sets_only_known_options(service):
    """An unknown name would be ignored without a message."""
    numbers = {name: value for name, value in service["environment"].items() if name != "BIND_ADDRESS"}

    assert numbers.keys() <= OPTIONS.keys()
    for name, value in numbers.items():
        assert read_number(name, value, 0, range(OPTIONS[name][1] + 1)) == int(value)


def test_both_ports_are_published_on_loopback_alone(service):
    """There is no sign-in, so nobody else may connect."""
    environment = service["environment"]

    assert service["ports"] == [
        f"127.0.0.1:{environment[name]}:{environment[name]}" for name in ("PORT", "EMULATOR_PORT")
    ]
    assert environment["BIND_ADDRESS"] == "0.0.0.0"


def test_it_mounts_this_folder_and_keeps_what_it_has_fetched(service):
    """Each volume with a name is declared. The container can't change the folder."""
    sources = dict(volume.split(":")[:2] for volume in service["volumes"])
    named = {source for source in sources if not source.startswith(".")}

    assert (FILE.parent / "..").resolve() == BUNDLE
    assert f"..:{service['working_dir']}:ro" in service["volumes"]
    assert named == yaml.safe_load(FILE.read_text())["volumes"].keys()
    # Both are folders in the container, whose user is root. They are not folders of the machine that runs it.
    assert {sources[name] for name in named} == {"/venv", "/root/.cache"}
