"""`python -m deploy.names` prints the names of the functions; with --private, only those that need a token."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from deploy.files import print_commands, run_main
from deploy.setup import load


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--setup", type=Path, required=True)
    options.add_argument("--private", action="store_true")
    chosen = options.parse_args()
    print_commands([[name] for name in load(chosen.setup).names(private=chosen.private)])


if __name__ == "__main__":
    sys.exit(run_main(main))
