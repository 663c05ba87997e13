"""The command line: a client of the API like any other, and what runs the system itself.

What a command needs it imports when it runs, so that each starts quickly.
"""

import sys
from importlib.metadata import version


def main() -> None:
    """The console script `overnight`; ends the process with a code of `failure.ExitCode`."""
    if sys.argv[1:] == ["--version"]:
        print(f"overnight {version('overnight')}")
        return
    from api.cli.commands import run

    sys.exit(run())
