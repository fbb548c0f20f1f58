"""`python -m deploy.check` checks that tables, settings and plans fit together, and writes what the steps read."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from deploy.files import run_main
from deploy.setup import Setup, read_setup, save


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--project", required=True)
    options.add_argument("--folder", type=Path)
    options.add_argument("--env-file", type=Path, required=True)
    options.add_argument("--notify", action="append", default=[])
    options.add_argument("--write", type=Path, required=True, help="the folder that the steps read from")
    chosen = options.parse_args()
    setup = read_setup(chosen.project, chosen.folder, chosen.env_file, chosen.notify)
    save(chosen.write / "setup.json", chosen.project, chosen.folder, chosen.env_file, chosen.notify)
    (chosen.write / "setup.sh").write_text(_shell_variables(setup), encoding="utf-8")


def _shell_variables(setup: Setup) -> str:
    values = {
        "SLUG": setup.kind.slug,
        "TITLE": setup.kind.title,
        "DATABASE": setup.settings.database,
        "OWN_REGION": setup.options.region or "",
        "NOTIFY": " ".join(setup.options.notify),
        "UPTIME": str(setup.options.uptime_minutes or ""),
    }
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())


if __name__ == "__main__":
    sys.exit(run_main(main))
