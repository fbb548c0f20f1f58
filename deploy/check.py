"""`python -m deploy.check`: are the tables, the settings and the plans fit to be deployed? Writes the environment."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from deploy.files import read_environment, told
from deploy.table import check, read_functions
from shared.monitor.timetable import read_timetable


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--project", required=True)
    options.add_argument("--env-file", type=Path, required=True)
    options.add_argument("--write", type=Path, required=True, help="where the functions' environment goes, as JSON")
    chosen = options.parse_args()
    environment = read_environment(chosen.env_file, chosen.project)
    check(read_functions(), read_timetable())
    chosen.write.write_text(json.dumps(environment, indent=1, sort_keys=True), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(told(main))
