"""The options of `make dev`, from environment variables."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass

from dev.console import read_number
from dev.emulator import LOOPBACK, free_port

EMULATOR_PORT_DEFAULT = 8686  # if free, the same every time, so that the app needs no new settings

# Name, default, largest value. All are whole numbers.
OPTIONS = {
    "PORT": (8080, 65_535),  # port of the functions; 0: any free port
    "EMULATOR_PORT": (EMULATOR_PORT_DEFAULT, 65_535),  # port of the emulator that is started; 0: any free port
    "TICK": (5, 3600),  # seconds between two calls of the worker; 0: no scheduled calls
    "SAMPLES": (30, 1000),  # number of sample users for an empty project
    "ADOPT": (0, 1),  # 1: adopt users that existed before
    "CHANGES": (0, 1),  # 1: changes of users call the trigger too
}


@dataclass(frozen=True, slots=True)
class Options:
    """The values of the options; see OPTIONS."""

    port: int
    emulator_port: int | None
    tick: int
    samples: int
    adopt: bool
    changes: bool
    #: The address that both servers listen on. In a container it has to be 0.0.0.0.
    address: str

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Options:
        """Read the options. Raises ValueError for a value that is out of range, and for a port that is taken."""
        values = {
            name: read_number(name, environ.get(name, ""), default, range(largest + 1))
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
    """The emulator's port. None: any free port. If the default port is taken, another one is used."""
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
