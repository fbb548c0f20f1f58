"""`python -m deploy.private`: the names of the functions nobody may call without a token."""

from __future__ import annotations

import sys

from deploy.files import print_commands, told
from deploy.table import read_functions


def main() -> None:
    print_commands([[function.name] for function in read_functions() if not function.public])


if __name__ == "__main__":
    sys.exit(told(main))
