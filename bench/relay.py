"""A relay that makes a server on this machine slow to reach. It delays all data in both directions.

It runs in a process of its own. The arguments are the server's address and the delay in seconds. The process prints the
relay's port. It ends when its standard input is closed.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

CHUNK = 256 * 1024
UNDER_WAY_MAX = 256  # chunks that may be delayed at once; then the sender waits, as on a real network


@contextmanager
def relay(host: str, delay_seconds: float) -> Iterator[str]:
    """The address of a relay to that server. It delays data by so many seconds in each direction."""
    command = [sys.executable, "-m", "bench.relay", host, str(delay_seconds)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield f"127.0.0.1:{int(process.stdout.readline() if process.stdout else '')}"
        finally:
            process.kill()


async def main(address: str, delay_seconds: float) -> None:
    host, _, port = address.rpartition(":")
    server = await asyncio.start_server(partial(_relay, host, int(port), delay_seconds), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


async def _relay(
    host: str, port: int, delay_seconds: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    there, back = await asyncio.open_connection(host, port)
    await asyncio.gather(_pass_on(reader, back, delay_seconds), _pass_on(there, writer, delay_seconds))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_seconds: float) -> None:
    """Pass on each chunk after the delay. Several chunks may be delayed at once."""
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(UNDER_WAY_MAX)
    arriving = asyncio.create_task(_arrive(under_way, writer))
    clock = asyncio.get_running_loop().time
    while chunk := await reader.read(CHUNK):
        await under_way.put((clock() + delay_seconds, chunk))
    await under_way.put((clock() + delay_seconds, b""))
    await arriving


async def _arrive(under_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
    clock = asyncio.get_running_loop().time
    while True:
        due, chunk = await under_way.get()
        await asyncio.sleep(max(0.0, due - clock()))
        if not chunk:
            writer.close()
            return
        writer.write(chunk)
        await writer.drain()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
