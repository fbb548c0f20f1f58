"""The architecture: imports run one way, the core is pure, no other package has our names, functions are short."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from statistics import median, quantiles

import pytest

from shared.settings import BUNDLE

# A module imports its own package and lower ones.
RANKS = {
    "shared": 0,
    "shared.core": 0,
    "shared.settings": 1,
    "shared.logs": 1,
    "shared.store": 2,
    "shared.services": 3,
    "shared.edge": 4,
    "shared.monitor": 5,
    "functions": 6,
    "main": 7,
}
CORE_IMPORTS = {*sys.stdlib_module_names, "dateutil"}
CLOCKS = {"now", "utcnow", "today", "time", "time_ns"}

LINES_MEDIAN_MAX = 8
LINES_95TH_PERCENTILE_MAX = 30


def module_of(path: Path) -> str:
    parts = path.relative_to(BUNDLE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {
    module_of(path): path
    for path in [BUNDLE / "main.py", *BUNDLE.glob("shared/**/*.py"), *BUNDLE.glob("functions/**/*.py")]
}
CORE = [module for module in SOURCES if module.startswith("shared.core")]


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(SOURCES[module].read_text(encoding="utf-8"))


def imports_of(module: str) -> Iterator[str]:
    """The full names of all modules that a module imports, at its top or later."""
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports by relative name"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in SOURCES else str(node.module)


def layer_of(module: str) -> str:
    """The entry of RANKS that a module of ours belongs to."""
    return max((layer for layer in RANKS if f"{module}.".startswith(f"{layer}.")), key=len)


def may_read_the_clock(module: str) -> bool:
    """The edge and `tokens` may read the clock. The edge passes the time to all others."""
    return module.startswith("shared.edge") or module == "shared.monitor.tokens"


def is_ours(module: str) -> bool:
    return module.partition(".")[0] in {"shared", "functions", "main", "dev", "tests", "bench"}


@pytest.mark.parametrize("module", SOURCES)
def test_imports_run_one_way(module):
    """main → functions → monitor → edge → services → store → settings → core. None imports tools or tests."""
    layer = layer_of(module)
    ours = {name for name in imports_of(module) if is_ours(name)}

    wrong = {
        name
        for name in ours
        if name not in SOURCES or (layer_of(name) != layer and RANKS[layer_of(name)] >= RANKS[layer])
    }
    assert wrong == set()


@pytest.mark.parametrize("module", CORE)
def test_the_core_imports_only_the_standard_library_and_dateutil(module):
    """Code that decides can then be tested with plain values. It needs no database, HTTP or framework."""
    foreign = {name.partition(".")[0] for name in imports_of(module) if not is_ours(name)}

    assert foreign <= CORE_IMPORTS


@pytest.mark.parametrize("module", [module for module in SOURCES if not may_read_the_clock(module)])
def test_time_is_an_argument(module):
    """Only the edge and the check of a token's expiry read the clock. The monotonic clock is allowed everywhere."""
    reads = [
        f"{ast.unparse(node.func)}, line {node.lineno}"
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in CLOCKS
        and ast.unparse(node.func.value) in {"datetime", "date", "time", "datetime.datetime", "datetime.date"}
    ]

    assert reads == []


@pytest.mark.parametrize("module", CORE)
def test_the_core_does_not_wait_draw_or_read(module):
    """Random numbers and waiting are arguments too."""
    assert set(imports_of(module)).isdisjoint({"os", "random", "secrets", "socket", "subprocess", "threading", "time"})


def test_only_the_monitor_function_imports_the_monitor():
    """The engine works without its monitor, and the other functions start without it."""
    importers = {
        module
        for module in SOURCES
        for name in imports_of(module)
        if f"{name}.".startswith("shared.monitor.") and not module.startswith("shared.monitor")
    }

    assert importers == {"functions.monitor"}


def test_no_function_imports_another():
    """Each function is deployed by itself. What several need is in `shared`."""
    functions = [module for module in SOURCES if module.startswith("functions")]

    wrong = {
        (module, name)
        for module in functions
        for name in imports_of(module)
        if name.partition(".")[0] == "functions" and name != module
    }
    assert wrong == set()
    assert len(functions) > 3


def entry_points() -> dict[str, str]:
    """The names that main imports, each with its module."""
    return {
        alias.asname or alias.name: str(node.module)
        for node in tree_of("main").body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_main_imports_the_entry_points_and_nothing_else():
    """main.py holds a docstring, imports of functions, and their names."""
    docstring, *imports, exported = tree_of("main").body

    assert isinstance(docstring, ast.Expr)
    assert all(isinstance(node, ast.ImportFrom) for node in imports)
    assert all(origin.startswith("functions.") for origin in entry_points().values())
    assert isinstance(exported, ast.Assign)
    assert ast.unparse(exported.targets[0]) == "__all__"
    assert ast.literal_eval(exported.value) == sorted(entry_points())


def test_no_entry_point_has_the_name_of_a_module():
    """A module with the name of a function would hide that function."""
    modules = {part for module in SOURCES for part in module.split(".")}

    assert modules.isdisjoint(entry_points())


@pytest.mark.parametrize("name", ["shared", "functions", "main"])
def test_no_installed_distribution_has_our_names(name):
    """functions-framework appends our folder to sys.path: an installed module of the same name would win."""
    assert packages_distributions().get(name, []) == []


@pytest.mark.parametrize(
    "package",
    ["shared", "shared.core", "shared.store", "shared.services", "shared.edge", "shared.monitor", "functions"],
)
def test_every_package_has_an_init_file(package):
    """Without it, a package of that name elsewhere on the path would be imported instead."""
    assert SOURCES[package].name == "__init__.py"


def functions_of(module: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree_of(module)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The number of lines from `def` to the end, without the docstring."""
    first, *_ = function.body
    lines = (function.end_lineno or 0) - function.lineno + 1
    if ast.get_docstring(function) is None:
        return lines
    return lines - ((first.end_lineno or 0) - first.lineno + 1)


def test_functions_are_short():
    """The median is at most 8 lines, and 95% of the functions have at most 30."""
    lines = [lines_of(function) for module in SOURCES for function in functions_of(module)]

    assert len(lines) > 200
    assert median(lines) <= LINES_MEDIAN_MAX
    assert quantiles(lines, n=20)[-1] <= LINES_95TH_PERCENTILE_MAX


@pytest.mark.parametrize("module", SOURCES)
def test_every_module_has_a_docstring(module):
    assert ast.get_docstring(tree_of(module))
