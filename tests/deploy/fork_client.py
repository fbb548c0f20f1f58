"""A command on the PATH of the tests. It lets fork_server.py run the command. The first argument is the socket."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

LENGTH_BYTES = 8


def main() -> int:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(sys.argv[1])
    called = {"arguments": sys.argv[2:], "environ": dict(os.environ), "folder": str(Path.cwd())}
    content = json.dumps(called).encode()
    socket.send_fds(connection, [f"{len(content):0{LENGTH_BYTES}d}".encode()], [0, 1, 2])
    connection.sendall(content)
    code = int(connection.recv(16) or b"1")
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
