"""A cold start imports no module that only another function needs, and runs no garbage collection."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from shared.settings import BUNDLE

# Modules that `main` does not import, each with the function that needs it.
IMPORTED_LATER = {
    "firebase_admin": "the monitor, once somebody signs in",
    "google.cloud.scheduler": "deployment",
    "google.events": "the event function, at its first event",
    "croniter": "the monitor",
    "shared.monitor.api": "the monitor",
    "shared.monitor.bodies": "the monitor",
    "shared.services.build": "the queue builder",
    "shared.services.refresh": "the direct refresh, and the monitor's",
    "shared.monitor.operator_actions": "the monitor",
    "shared.monitor.overview": "the monitor",
    "shared.services.work": "the worker",
}
OURS = [
    ".".join(path.relative_to(BUNDLE).with_suffix("").parts)
    for folder in ("functions", "shared")
    for path in BUNDLE.glob(f"{folder}/**/*.py")
]


def output_of(code: str) -> str:
    """The output of a program in a fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-c", code], cwd=BUNDLE, capture_output=True, text=True, timeout=60, check=True
    ).stdout


@pytest.fixture(scope="module")
def imported() -> list[str]:
    """The modules in memory once `main` is imported."""
    return output_of("import sys, main; print(*sys.modules)").split()


@pytest.mark.parametrize("module", IMPORTED_LATER)
def test_main_does_not_import_what_only_one_function_needs(imported, module):
    """Each function has instances of its own, so it must not pay for imports that only others need."""
    assert [name for name in imported if f"{name}.".startswith(f"{module}.")] == []


@pytest.mark.parametrize("module", IMPORTED_LATER)
def test_modules_that_are_imported_later_exist(module):
    """The test above would not notice a misspelt name."""
    assert importlib.util.find_spec(module) is not None


@pytest.mark.parametrize("module", OURS)
def test_every_module_can_be_imported(module):
    """A broken module that is imported late would not stop a start, so it is found here."""
    importlib.import_module(module)


def test_the_garbage_collector_leaves_imported_objects_alone():
    """No collection runs during the imports, and imported objects are never examined later."""
    seen = output_of(
        "import gc, sys\n"
        "late = []\n"
        "gc.callbacks.append(lambda phase, info: late.append('shared.edge' in sys.modules))\n"
        "import functions\n"
        "print(any(late), gc.isenabled(), gc.get_freeze_count() > 10_000)\n"
    )

    assert seen == "False True True\n"


def test_the_garbage_collector_is_on_again_after_a_start_that_fails():
    code = (
        "import gc\n"
        "from shared.cold_start import without_garbage_collection\n"
        "try:\n"
        "    with without_garbage_collection():\n"
        "        print(gc.isenabled())\n"
        "        raise ImportError\n"
        "except ImportError:\n"
        "    print(gc.isenabled())\n"
    )

    assert output_of(code) == "False\nTrue\n"
