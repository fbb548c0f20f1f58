"""Progress output, numbers from the environment, and signals, for the commands in dev/."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from types import FrameType
from typing import TextIO

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PROXIES = ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy")


class Progress:
    """On a terminal it rewrites one line. Elsewhere it prints only milestones, each in a line of its own."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._terminal = out.isatty()

    def show(self, text: str, *, milestone: bool = False) -> None:
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            self._out.write(f"\r\x1b[K{text[:width]}")
        elif milestone:
            self._out.write(f"{text}\n")
        self._out.flush()

    def say(self, text: str = "") -> None:
        """Print a line that stays."""
        self._out.write(f"\r\x1b[K{text}\n" if self._terminal else f"{text}\n")
        self._out.flush()


def read_number(name: str, text: str, default: int, numbers: range) -> int:
    """The number in an environment variable. Raises ValueError if it is not one of these numbers."""
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or int(text[:12]) not in numbers:
        raise ValueError(f"{name}={text!r} is not a whole number from {numbers[0]} to {numbers[-1]}")
    return int(text)


def end_on_signals() -> None:
    """Let Ctrl-C, SIGTERM and a closed terminal end the program with clean-up. A second signal is ignored."""
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN or number == signal.SIGTERM:
            signal.signal(number, _end)


def forward_as_sigterm() -> None:
    """Turn Ctrl-C and a closed terminal into SIGTERM. So handlers that were installed after ours run as well."""
    for number in SIGNALS:
        if number != signal.SIGTERM and signal.getsignal(number) == _end:
            signal.signal(number, lambda *_: signal.raise_signal(signal.SIGTERM))


def stay_local() -> None:
    """Use no proxy, because all servers are on loopback. Child processes inherit that."""
    for name in PROXIES:
        os.environ.pop(name, None)
        os.environ.pop(name.upper(), None)


def _end(number: int, _: FrameType | None) -> None:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(128 + number)
