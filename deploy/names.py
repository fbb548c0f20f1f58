"""`python -m deploy.names`: the names of the functions; with --private, of those nobody may call without a token."""

from __future__ import annotations

import argparse
import sys

from deploy.files import print_commands, told
from deploy.table import read_functions


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--private", action="store_true")
    chosen = options.parse_args()
    print_commands([[each.name] for each in read_functions() if not (chosen.private and each.public)])


if __name__ == "__main__":
    sys.exit(told(main))
