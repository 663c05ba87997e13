"""The shell is told what can come next."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("overnight mod", {"models"}),
        ("overnight keys im", {"import"}),
        ("overnight submit --stop", {"--stop-if-failed"}),
    ],
)
def test_commands_and_flags_are_completed(typed: str, offered: set[str]) -> None:
    asked = {
        "_OVERNIGHT_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split()) - 1),
    }
    code = "import sys; sys.argv = ['overnight']; import api.cli; api.cli.main()"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | asked,
        capture_output=True,
        text=True,
        check=False,
    )
    assert set(ran.stdout.split()) == offered, ran.stderr
