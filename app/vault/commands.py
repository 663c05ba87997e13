"""Commands of the operator's that hold keys: run without a shell, and nothing of them is told."""

import shlex
import subprocess

from app.domain.errors import SetupError

#: How long one may take, and how much it may print.
TIMEOUT_S = 30.0
_OUTPUT_CHARS_MAX = 64 * 1024


def run_command(name: str, words: str, *more: str, given: str = "") -> str:
    """What a command prints, without the space around it.

    Args:
        name: the setting that holds it, for error messages.
        words: the command as it is set, split into words here.
        more: further arguments.
        given: what it reads from its standard input.

    Raises:
        SetupError: it failed or took too long; says how, and nothing of what it printed.
    """
    try:
        ended = subprocess.run(  # noqa: S603 - the operator's own command, split into words
            [*shlex.split(words), *more],
            input=given.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SetupError(f"{name} did not end within {TIMEOUT_S:.0f} s") from None
    except (OSError, ValueError) as error:
        raise SetupError(f"{name} cannot be run ({type(error).__name__})") from None
    if ended.returncode != 0:
        raise SetupError(f"{name} ended with exit code {ended.returncode}")
    return ended.stdout[:_OUTPUT_CHARS_MAX].decode("ascii", "replace").strip()
