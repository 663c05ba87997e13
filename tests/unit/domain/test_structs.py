"""Threads that decode a struct for the first time at once."""

import subprocess
import sys

#: Structs nobody has decoded yet, and eight threads that do, at once and often.
_RACE = """
import sys, threading
import msgspec
from app.domain.structs import ready_structs

sys.setswitchinterval(1e-6)
BODY = b'{"part":{"x":1},"parts":[{"x":2}],"by_name":{"k":{"x":3}}}'
made = []
for number in range(100):
    part = msgspec.defstruct(f"Part{number}", [("x", int), ("y", str | None, None)])
    whole = msgspec.defstruct(
        f"Whole{number}", [("part", part), ("parts", tuple[part, ...]), ("by_name", dict[str, part])]
    )
    made.append(whole)
ready_structs()
for whole in made:
    together = threading.Barrier(8)
    def decode():
        together.wait()
        msgspec.json.decode(BODY, type=whole)
    threads = [threading.Thread(target=decode) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
"""


def test_structs_that_are_ready_are_decoded_by_any_number_of_threads_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _RACE], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
