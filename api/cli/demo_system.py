"""A whole Overnight for a demonstration: on a directory of its own, and gone afterwards."""

import os
import re
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from api.cli.client import Client
from api.cli.failure import Failure
from api.cli.place import API_KEY_FILE, ApiKey
from app.settings import child_environment

#: What a demonstration found: numbers, for the last line.
Facts = dict[str, Any]

START_MAX_S = 60.0
#: Calls in flight when a demonstration ends are simulated: nothing is lost with them.
GRACE_S = 2
_END_MAX_S = 20.0
_TAIL_CHARS = 2000
_ADDRESS = re.compile(rb"https?://\S+")
#: What the person's own system is made of stays out of it.
_NOT_OURS = (
    "BYOK_ENCRYPTION_KEY",
    "BYOK_ENCRYPTION_KEY_COMMAND",
    "BYOK_ENCRYPTION_KEY_FILE",
    "DATABASE_URL",
    "OVERNIGHT_API_KEY",
    "OVERNIGHT_FILES_URL",
    "OVERNIGHT_KEYRING_COMMAND",
    "OVERNIGHT_KEYRING_DIR",
    "OVERNIGHT_TRUSTED_HOSTS",
    "OVERNIGHT_URL",
    "REDIS_URL",
)


@dataclass(frozen=True, slots=True)
class DemoSystem:
    """A running system, and how to use it."""

    client: Client
    environment: dict[str, str]

    def command(self, *words: str) -> None:
        """Run a command of ours against it, as a person would.

        Raises:
            Failure: it failed; with what it said.
        """
        print(f"$ overnight {' '.join(words)}")
        ran = subprocess.run(  # noqa: S603 - ourselves
            [sys.executable, "-P", "-m", "api.cli", *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        print(ran.stdout.rstrip())
        if ran.returncode:
            raise Failure(ran.stderr.strip())


@contextmanager
def demo_system(*, workers: int, in_flight: int) -> Iterator[DemoSystem]:
    """Everything of `overnight up`, on a temporary directory and a free port, for the block."""
    with tempfile.TemporaryDirectory(prefix="overnight-demo-") as directory:
        home = Path(directory)
        environment = child_environment(
            **dict.fromkeys(_NOT_OURS, None),
            OVERNIGHT_DATA_DIR=directory,
            OVERNIGHT_HOST="127.0.0.1",
            OVERNIGHT_PORT="0",
            OVERNIGHT_GRACE_S=str(GRACE_S),
            OVERNIGHT_WORKER_PROCESSES=str(workers),
            OVERNIGHT_WORKER_IN_FLIGHT=str(in_flight),
        )
        command = [sys.executable, "-P", "-m", "workers.up", "--leashed"]
        with leashed(command, home / "up.log", environment) as said:
            url = said.wait_for(_ADDRESS).decode()
            key = (home / API_KEY_FILE).read_text(encoding="utf-8").strip()
            with Client(url, ApiKey(key, API_KEY_FILE)) as client:
                yield DemoSystem(client, environment | {"OVERNIGHT_URL": url})


class Said:
    """What a child prints."""

    def __init__(self, process: subprocess.Popen[bytes], output: IO[bytes], log: Path) -> None:
        self._process = process
        self._output = output
        self._log = log

    def wait_for(self, pattern: re.Pattern[bytes]) -> bytes:
        """The first match of a pattern in a line.

        Raises:
            Failure: it ended before, or took too long; with the end of its log.
        """
        deadline, text = time.monotonic() + START_MAX_S, b""
        while (left_s := deadline - time.monotonic()) > 0:
            if not select.select([self._output], [], [], left_s)[0]:
                break
            chunk = os.read(self._output.fileno(), 4096)
            if not chunk:
                break
            text += chunk
            whole, _, _ = text.rpartition(b"\n")
            if found := pattern.search(whole):
                return found.group()
        name = " ".join(str(word) for word in self._process.args[1:])  # type: ignore[index]
        tail = self._log.read_text(encoding="utf-8", errors="replace")[-_TAIL_CHARS:]
        raise Failure(f"{name} did not start:\n{tail}")


@contextmanager
def leashed(
    command: Sequence[str], log: Path, environment: dict[str, str] | None = None
) -> Iterator[Said]:
    """A child for the block, which ends when its standard input does: however we end."""
    with log.open("wb") as errors:
        process = subprocess.Popen(  # noqa: S603 - ourselves
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            start_new_session=True,  # a Ctrl-C is for us, who then end it in order
        )
    assert process.stdin is not None  # noqa: S101 - they are pipes
    assert process.stdout is not None  # noqa: S101
    try:
        yield Said(process, process.stdout, log)
    finally:
        process.stdin.close()
        try:
            process.wait(_END_MAX_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def check(is_so: object, otherwise: str) -> None:
    """Go on only if something is as it should be.

    Raises:
        Failure: it is not.
    """
    if not is_so:
        raise Failure(otherwise)
