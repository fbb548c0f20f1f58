"""Draws the chart of every system's pace and cost: docs/bench.png and docs/bench.svg."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.systems import PROJECT, System, SystemResult

DOCS = Path(__file__).resolve().parent.parent / "docs"
OURS, OTHERS = "#1f6feb", "#9aa4b2"


def draw(results: Mapping[System, SystemResult], heading: str, folder: Path = DOCS) -> None:
    """Draw two charts side by side: users a second on a logarithmic scale, and dollars per 100K users."""
    mpl.rcParams["svg.hashsalt"] = "bench"  # the same figures give the same file
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    systems = list(reversed(list(results.values())))
    _bars(left, systems, [one.median(lambda done: done.pace) for one in systems], "{:,.0f}")
    left.set_xscale("log")
    left.set_xlabel("users a second")
    _bars(right, systems, [one.bill.dollars for one in systems], "${:.3f}")
    right.set_xlabel("dollars per 100,000 users")
    figure.suptitle(heading, fontsize=8)
    figure.savefig(folder / "bench.png", dpi=150)
    figure.savefig(folder / "bench.svg", metadata={"Date": None})


def draw_stagger(outcomes: Mapping[str, Sequence[Any]], folder: Path = DOCS) -> None:
    """Share of days on which people came before the refill, for each way of spreading them and each population."""
    mpl.rcParams["svg.hashsalt"] = "bench"
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    for axes, (name, each) in zip(figure.subplots(1, len(outcomes), sharey=True), outcomes.items(), strict=True):
        shares = [100 * outcome.early_share for outcome in reversed(each)]
        labels = [outcome.label for outcome in reversed(each)]
        colours = [OURS if label == "quiet" else OTHERS for label in labels]
        bars = axes.barh(labels, shares, color=colours)
        axes.bar_label(bars, [f"{share:.1f}%" for share in shares], padding=3, fontsize=8)
        axes.margins(x=0.18)
        axes.set_title(name, fontsize=9)
        axes.set_xlabel("% of active days, came before the refill", fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(folder / "stagger.svg", metadata={"Date": None})


def _bars(axes: Any, systems: Sequence[SystemResult], values: Sequence[float], style: str) -> None:
    labels = [one.system.label.replace("`", "") for one in systems]
    colours = [OURS if one.system == PROJECT else OTHERS for one in systems]
    bars = axes.barh(labels, values, color=colours)
    axes.bar_label(bars, [style.format(value) for value in values], padding=3, fontsize=8)
    axes.margins(x=0.18)
    axes.spines[["top", "right"]].set_visible(False)
