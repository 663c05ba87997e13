"""`make bench-peers`: 2,000 prompts through us and through what a user would take instead.

Each peer is installed into an environment that is thrown away; all ask the same mock provider.
Whole processes are measured, from start to exit. One that cannot be installed, or does not answer
every prompt, is said to be so, and the others go on.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

from rich.console import Console
from rich.table import Table

from tests.bench.harness import SQLITE, Servers, system
from tests.bench.meters import steady_rate
from tests.bench.mock import MockProvider, mock_provider
from tests.bench.prompts import lines_of
from tests.bench.provider import LATENCY_S
from tests.servers import postgres_server, valkey_server
from tests.servers.places import temporary_directory

PROMPTS, IN_FLIGHT = 2_000, 256
_HERE = Path(__file__).parent / "peers"
_INSTALL_MAX_S, _RUN_MAX_S = 900, 300
#: What is installed, the first of which is the peer, and the program of `peers` that drives it.
_PYTHON_PEERS = {
    "litellm": ("litellm", "litellm_peer.py"),
    "inspect-ai": ("inspect-ai openai", "inspect_peer.py"),
    "curator": ("bespokelabs-curator", "curator_peer.py"),
}
#: What one asks beside the prompts: curator looks once for the limits in an answer's headers.
_ASKED_BESIDE = {"curator": 1}


@dataclass(frozen=True, slots=True)
class Seen:
    """What one of them took."""

    version: str
    seconds: float
    cpu_s: float
    rss_mb: float


class MissingError(Exception):
    """What a peer needs is not on this machine."""


def main() -> int:
    """Measure all, and print a table."""
    with ExitStack() as stack:
        directory = stack.enter_context(temporary_directory())
        provider = stack.enter_context(mock_provider(directory, LATENCY_S))
        prompts = directory / "prompts.jsonl"
        prompts.write_bytes(b"".join(lines_of(PROMPTS)))
        peers = {name: _python_peer(directory, name, prompts) for name in _PYTHON_PEERS}
        peers["promptfoo"] = _promptfoo(directory, prompts)
        rows = [_ours(stack, provider)]
        rows += [_row(name, provider, start) for name, start in peers.items()]
        _print(rows)
    return 0


Start = Callable[[str], Seen]
Row = tuple[str, str, str, str, str]


def _ours(stack: ExitStack, provider: MockProvider) -> Row:
    """A worker process from its start to the end of the batch, with the store and the broker."""
    servers = Servers(
        stack.enter_context(postgres_server(fsync=True)),
        stack.enter_context(valkey_server()),
        provider,
    )
    with system(SQLITE, servers, in_flight=IN_FLIGHT, workers=0) as ours:
        account_id = ours.new_account("overnight")
        began = time.monotonic()
        ours.start_workers(1)
        run = ours.run(account_id, "overnight", PROMPTS)
        seconds = time.monotonic() - began
    # Its CPU time before the batch, which is that of its imports, counts as it does for the others.
    seen = Seen("", seconds, sum(run.cpu_s.values()), run.rss_max_bytes / 2**20)
    return ("overnight", *_cells(seen, run.per_s))


def _row(name: str, provider: MockProvider, start: Start) -> Row:
    provider.forget(name)
    try:
        seen = start(provider.base_url(name))
    except MissingError as error:
        return (name, f"not run: {error}", "", "", "")
    except (OSError, subprocess.SubprocessError) as error:
        return (name, f"not run: {type(error).__name__}", "", "", "")
    answered = provider.journal(name).answered[_ASKED_BESIDE.get(name, 0) :]
    full_name = f"{name} {seen.version}"
    if len(answered) < PROMPTS:
        return (full_name, f"{len(answered)} of {PROMPTS} answered", "", "", "")
    return (full_name, *_cells(seen, steady_rate(answered)))


def _cells(seen: Seen, steady_per_s: float) -> tuple[str, str, str, str]:
    return (
        f"{PROMPTS / seen.seconds:,.0f}",
        f"{steady_per_s:,.0f}",
        f"{seen.cpu_s * 1000 / PROMPTS:.2f}",
        f"{seen.rss_mb:,.0f}",
    )


def _python_peer(directory: Path, name: str, prompts: Path) -> Start:
    packages, script = _PYTHON_PEERS[name]

    def start(base_url: str) -> Seen:
        home = directory / name
        uv = Path(sys.executable).with_name("uv")
        _install([uv, "venv", "--python", sys.executable, home])
        _install([uv, "pip", "install", "--python", home / "bin/python", *packages.split()])
        arguments = [base_url, prompts, str(IN_FLIGHT)]
        asked = f"import importlib.metadata as m; print(m.version('{packages.split()[0]}'))"
        version = _install([home / "bin/python", "-c", asked])
        return _measured([home / "bin/python", _HERE / script, *arguments], home, version, {})

    return start


def _promptfoo(directory: Path, prompts: Path) -> Start:
    def start(base_url: str) -> Seen:
        home = directory / "promptfoo"
        home.mkdir()
        npm = shutil.which("npm")
        if npm is None or shutil.which("node") is None:
            raise MissingError("node and npm are not installed")
        _install(
            [npm, "install", "--silent", "--no-fund", "--no-audit", "--prefix", home, "promptfoo"]
        )
        texts = [json.loads(line)["messages"][0]["content"] for line in prompts.open("rb")]
        config = {
            "prompts": ["{{text}}"],
            "providers": [
                {
                    "id": "openai:chat:bench-1",
                    "config": {"apiBaseUrl": base_url, "apiKey": "sk-bench"},
                }
            ],
            "tests": [{"vars": {"text": text}} for text in texts],
        }
        (home / "config.json").write_text(json.dumps(config))
        command = [
            home / "node_modules/.bin/promptfoo", "eval", "-c", home / "config.json",
            "-j", str(IN_FLIGHT), "--no-cache", "--no-progress-bar", "--no-table", "--no-share",
        ]  # fmt: skip
        quiet = {
            "PROMPTFOO_DISABLE_TELEMETRY": "1",
            "PROMPTFOO_DISABLE_UPDATE": "1",
            "PROMPTFOO_CONFIG_DIR": str(home / "kept"),
        }
        manifest = json.loads((home / "node_modules/promptfoo/package.json").read_bytes())
        return _measured(command, home, manifest["version"], quiet)

    return start


def _install(command: Sequence[str | Path]) -> str:
    """Run what is not measured, and give what it says."""
    words = [str(word) for word in command]
    done = subprocess.run(words, check=True, capture_output=True, timeout=_INSTALL_MAX_S)
    return done.stdout.decode().strip()


def _measured(
    command: Sequence[str | Path], home: Path, version: str, quiet: Mapping[str, str]
) -> Seen:
    """Run it, and say what it and its children took."""
    began = time.monotonic()
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=home,
            env={**os.environ, **quiet, "HOME": str(home)},  # it keeps nothing of ours or anybody's
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    took = _waited_for(process)
    cpu_s = took.ru_utime + took.ru_stime
    return Seen(version, time.monotonic() - began, cpu_s, took.ru_maxrss / 1024)


def _waited_for(process: "subprocess.Popen[bytes]") -> resource.struct_rusage:
    """What a process and its children took, of none that ran before it.

    How it ends says nothing: promptfoo ends with 100 where an assertion fails. The journal decides.
    """
    killing = Timer(_RUN_MAX_S, process.kill)
    killing.start()
    try:
        _, status, took = os.wait4(process.pid, 0)
    finally:
        killing.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    return took


def _print(rows: Sequence[Row]) -> None:
    table = Table(title=f"{PROMPTS:,} prompts, {IN_FLIGHT} in flight, {LATENCY_S} s each")
    for heading in ("", "calls/s", "steady calls/s", "CPU s per 1,000", "peak MB"):
        table.add_column(heading, justify="right" if heading else "left")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
