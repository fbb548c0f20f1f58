"""The real gcloud without its start-up: one process imports it, and a fork of that process runs each command.

Starting gcloud takes most of a second, and a deployment runs it a hundred times. This changes nothing of what gcloud
does: a fork gets the arguments, the environment, the folder and the open files of the command that was called.

Run by gcloud's own Python, with the standard library alone: gcloud_server.py SDK_ROOT SOCKET
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import socket
import sys
import threading
from contextlib import suppress

LENGTH_BYTES = 8


def main() -> None:
    root, address = sys.argv[1:]
    sys.path[:0] = [f"{root}/lib/third_party", f"{root}/lib"]
    importlib.import_module("googlecloudsdk.gcloud_main")
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(address)
    server.listen(64)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    learnt, teach = os.pipe()
    os.set_blocking(learnt, False)
    while True:
        connection, _ = server.accept()
        learn(learnt)
        gc.freeze()
        if os.fork() == 0:
            server.close()
            serve(connection, teach, root)
        connection.close()
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def learn(pipe: int) -> None:
    """Import what earlier commands had to import, so that later ones find it."""
    with suppress(BlockingIOError):
        while told := os.read(pipe, 65536):
            for name in told.decode().split():
                with suppress(Exception):
                    importlib.import_module(name)


def serve(connection: socket.socket, teach: int, root: str) -> None:
    """In a fork: become the command that was called, run it in a fork of its own, answer with its exit code."""
    size, files, _, _ = socket.recv_fds(connection, LENGTH_BYTES, 3)
    called = json.loads(read(connection, int(size)))
    child = os.fork()
    if child == 0:
        connection.close()
        run(called, files, teach, root)
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
    """The caller says nothing more; when it is gone, so is the command."""
    connection.recv(1)
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGTERM)


def run(called: dict[str, object], files: list[int], teach: int, root: str) -> None:
    for number, file in enumerate(files):
        os.dup2(file, number)
    os.environ.clear()
    os.environ.update(called["environ"], CLOUDSDK_ROOT_DIR=root, CLOUDSDK_ENCODING="UTF-8")
    os.chdir(called["folder"])
    sys.argv = [f"{root}/lib/gcloud.py", *called["arguments"]]
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(number, mode) for number, mode in enumerate("rww"))
    known = set(sys.modules)
    code = ended()
    with suppress(BrokenPipeError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os.write(teach, "".join(f"{name}\n" for name in sys.modules.keys() - known).encode()[:60000])
    os._exit(code)


def ended() -> int:
    """The exit code of gcloud's own main function."""
    try:
        sys.modules["googlecloudsdk.gcloud_main"].main()
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    return 0


if __name__ == "__main__":
    main()
