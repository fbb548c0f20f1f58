"""What the environment asks of `make dev`, checked."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass

from dev.console import number_wanted
from dev.emulator import LOOPBACK, free_port

EMULATOR_PORT_DEFAULT = 8686  # the same every time, if it is free, so that the app's settings stay good

# Name, default, largest value. All are whole numbers.
OPTIONS = {
    "PORT": (8080, 65_535),  # of the functions; 0: any that is free
    "EMULATOR_PORT": (EMULATOR_PORT_DEFAULT, 65_535),  # of the emulator we start; 0: any that is free
    "TICK": (5, 3600),  # seconds between two calls of the worker; 0: nothing is called by itself
    "SAMPLES": (30, 1000),  # users for an empty project
    "ADOPT": (0, 1),  # 1: users that were there before count as granted for their current period
    "CHANGES": (0, 1),  # 1: changes of users reach the trigger, too
}


@dataclass(frozen=True, slots=True)
class Options:
    """What the environment asks for; see OPTIONS."""

    port: int
    emulator_port: int | None
    tick: int
    samples: int
    adopt: bool
    changes: bool
    #: What both servers listen on. In a container it has to be 0.0.0.0.
    address: str

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Options:
        """Raises ValueError for a value that is out of range, and for a port that is taken."""
        values = {
            name: number_wanted(name, environ.get(name, ""), default, range(largest + 1))
            for name, (default, largest) in OPTIONS.items()
        }
        return cls(
            port=_port("PORT", values["PORT"]) or free_port(),
            emulator_port=_emulator_port(environ, values["EMULATOR_PORT"]),
            tick=values["TICK"],
            samples=values["SAMPLES"],
            adopt=bool(values["ADOPT"]),
            changes=bool(values["CHANGES"]),
            address=environ.get("BIND_ADDRESS") or LOOPBACK,
        )


def _port(name: str, port: int) -> int:
    if port and not _is_free(port):
        raise ValueError(f"port {port} is taken; choose another one with {name}, or {name}=0 for any that is free")
    return port


def _emulator_port(environ: Mapping[str, str], port: int) -> int | None:
    """None: any that is free. The default gives way to whoever was there first."""
    if environ.get("FIRESTORE_EMULATOR_HOST") or not port:
        return None
    if not environ.get("EMULATOR_PORT") and not _is_free(port):
        return None
    return _port("EMULATOR_PORT", port)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True
