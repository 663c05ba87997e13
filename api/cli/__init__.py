"""The command line: a client of the API like any other, and what runs the system itself.

Exit codes are those of `failure.ExitCode`.
"""

import sys
from importlib.metadata import version


def main() -> None:
    """The console script `overnight`; ends the process."""
    if sys.argv[1:] == ["--version"]:
        print(f"overnight {version('overnight')}")
        return
    from api.cli.commands import run  # noqa: PLC0415 - the version is known without all of that

    sys.exit(run(sys.argv[1:]))
