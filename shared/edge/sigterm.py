"""Says whether the platform has asked the instance to stop. Functions run in threads, which can't handle signals."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Stopping:
    """Is set after SIGTERM.

    functions-framework runs gunicorn, which installs its own handler after our modules are imported. That handler is a
    method of gunicorn's worker and clears the worker's `alive`, so there `alive` is read. Under any other server our
    own handler is in place; it also calls the handler that was there before.
    """

    def __init__(self) -> None:
        self._asked = threading.Event()

    def is_set(self) -> bool:
        server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
        return self._asked.is_set() or getattr(server, "alive", True) is False

    def watch(self) -> None:
        """Handle SIGTERM from now on. Outside the main thread this does nothing."""
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
