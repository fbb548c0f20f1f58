"""Has the platform asked the instance to go? Functions run in threads, and only the main thread may handle signals."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Stopping:
    """Set once SIGTERM has come.

    gunicorn, which functions-framework runs, puts its own handler in place after our modules are imported: a method of
    its worker, whose `alive` that handler clears. So there the worker is asked; under any other server our handler is
    still the one, and runs what was there before it.
    """

    def __init__(self) -> None:
        self._asked = threading.Event()

    def is_set(self) -> bool:
        server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
        return self._asked.is_set() or getattr(server, "alive", True) is False

    def watch(self) -> None:
        """Handle SIGTERM from now on; in the main thread only, elsewhere this does nothing."""
        if threading.current_thread() is not threading.main_thread():
            return
        before: Any = signal.getsignal(signal.SIGTERM)

        def on_sigterm(number: int, frame: FrameType | None) -> None:
            self._asked.set()
            if callable(before):
                before(number, frame)
            elif before == signal.SIG_DFL:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                signal.raise_signal(signal.SIGTERM)

        signal.signal(signal.SIGTERM, on_sigterm)


stopping = Stopping()
