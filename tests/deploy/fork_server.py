"""Runs commands without their slow start. One process imports what they need, and a fork of it runs each command.

Gcloud takes most of a second to start, and a deployment runs it a hundred times. Python with the deployment's libraries
takes nearly as long. The commands do the same as without this server. A fork gets the arguments, the environment, the
folder and the open files of the command.

    fork_server.py SOCKET gcloud SDK_ROOT    run by gcloud's own Python: the real gcloud
    fork_server.py SOCKET modules            run by the suite's Python: python -m MODULE, from the folder of the caller
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

LENGTH_BYTES = 8

# What the deployment's modules import. Modules of the bundle are left out, because each test has its own copy.
LIBRARIES = [
    "pydantic",
    "croniter",
    "dateutil.relativedelta",
    "google.cloud.scheduler_v1",
    "google.auth.transport.requests",
]

Called = dict[str, Any]


def gcloud(called: Called, root: str) -> None:
    os.environ.update(CLOUDSDK_ROOT_DIR=root, CLOUDSDK_ENCODING="UTF-8")
    sys.argv = [f"{root}/lib/gcloud.py", *called["arguments"]]
    sys.modules["googlecloudsdk.gcloud_main"].main()


def module(called: Called) -> None:
    flag, name, *arguments = called["arguments"]
    assert flag == "-m"
    sys.path.insert(0, called["folder"])
    sys.argv = [name, *arguments]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def main() -> None:
    address, kind, *rest = sys.argv[1:]
    run = import_gcloud(*rest) if kind == "gcloud" else import_libraries()
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(address)
    server.listen(64)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    names_read, names_write = os.pipe()
    os.set_blocking(names_read, False)
    while True:
        connection, _ = server.accept()
        import_names(names_read)
        gc.freeze()
        if os.fork() == 0:
            server.close()
            serve(connection, names_write, run)
        connection.close()
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def import_gcloud(root: str) -> Callable[[Called], None]:
    sys.path[:0] = [f"{root}/lib/third_party", f"{root}/lib"]
    importlib.import_module("googlecloudsdk.gcloud_main")
    return lambda called: gcloud(called, root)


def import_libraries() -> Callable[[Called], None]:
    sys.path.remove(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 (import as little as possible)
    for name in LIBRARIES:
        importlib.import_module(name)
    return module


def import_names(pipe: int) -> None:
    """Import the modules that earlier commands had to import, so that later commands need not."""
    with suppress(BlockingIOError):
        while names := os.read(pipe, 65536):
            for name in names.decode().split():
                with suppress(Exception):
                    importlib.import_module(name)


def serve(connection: socket.socket, names_write: int, run: Callable[[Called], None]) -> None:
    """Run a command in a second fork, and answer with its exit code. This itself runs in a fork."""
    size, files, _, _ = socket.recv_fds(connection, LENGTH_BYTES, 3)
    called = json.loads(read(connection, int(size)))
    child = os.fork()
    if child == 0:
        connection.close()
        run_in_fork(called, files, names_write, run)
    for file in files:
        os.close(file)
    threading.Thread(target=end_with_caller, args=(connection, child), daemon=True).start()
    _, status = os.waitpid(child, 0)
    with suppress(OSError):
        connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def read(connection: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size:
        content += connection.recv(size - len(content))
    return content


def end_with_caller(connection: socket.socket, child: int) -> None:
    """End the command when the caller closes the connection."""
    connection.recv(1)
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGTERM)


def run_in_fork(called: Called, files: list[int], names_write: int, run: Callable[[Called], None]) -> None:
    for number, file in enumerate(files):
        os.dup2(file, number)
    os.environ.clear()
    os.environ.update(called["environ"])
    os.chdir(called["folder"])
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(number, mode) for number, mode in enumerate("rww"))
    known = set(sys.modules)
    code = run_command(run, called)
    with suppress(BrokenPipeError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    if "googlecloudsdk" in known:
        os.write(names_write, "".join(f"{name}\n" for name in sys.modules.keys() - known).encode()[:60000])
    os._exit(code)


def run_command(run: Callable[[Called], None], called: Called) -> int:
    """Run a command and return its exit code."""
    try:
        run(called)
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except BaseException:  # noqa: BLE001 (Python does the same at the end of a program)
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


if __name__ == "__main__":
    main()
