"""A relay that makes a server on this machine far away: what passes takes so many milliseconds, each way.

It runs in a process of its own, which is started with the server's address and the delay in seconds, prints its own
port, and ends when its input does.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

CHUNK = 256 * 1024
UNDER_WAY_MAX = 256  # chunks; then the sender waits, as with any network


@contextmanager
def relay(host: str, delay_seconds: float) -> Iterator[str]:
    """The address at which that server answers so many seconds later, in each direction."""
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
    """Each chunk arrives so much later; the next may be under way meanwhile."""
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
