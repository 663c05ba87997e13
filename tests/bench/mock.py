"""The mock provider and the raw client as the bench drives them: processes of their own."""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.meters import CpuMeter, Run, steady_rate
from tests.bench.provider import Journal
from tests.servers import Child, ServerError, wait_for

_RAW = "raw"


class MockProvider:
    """The provider in its process. Use `mock_provider()`."""

    def __init__(self, child: Child, port: int) -> None:
        self._child = child
        self.port = port

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    def base_url(self, name: str) -> str:
        """A base URL whose calls are noted in a journal of that name."""
        return f"http://127.0.0.1:{self.port}/{name}/v1"

    def count(self, name: str) -> tuple[int, int]:
        """How many requests came, and how many were answered."""
        came, answered = json.loads(self._ask("GET", name, "count"))
        return came, answered

    def journal(self, name: str) -> Journal:
        """When they came and were answered."""
        return Journal.load(self._ask("GET", name, "journal"))

    def forget(self, name: str) -> None:
        """Begin a new journal."""
        self._ask("DELETE", name, "journal")

    def _ask(self, method: str, name: str, what: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, f"/{name}/{what}")
            return connection.getresponse().read()
        finally:
            connection.close()

    def run_raw(self, in_flight: int, calls: int, clients: int = 1) -> Run:
        """The run of so many raw clients at once, each with as many in flight and calls."""
        self.forget(_RAW)
        url = f"{self.base_url(_RAW)}/chat/completions"
        numbers = ["--in-flight", str(in_flight), "--calls", str(calls)]
        meter = CpuMeter({"provider": [self.pid]})
        command = [sys.executable, "-m", "tests.bench.raw", url, *numbers]
        started = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(clients)]
        tolds = [_told(one, timeout_s=120 + clients * calls / 100) for one in started]
        return Run(
            calls * clients,
            steady_rate(self.journal(_RAW).answered),
            max(told["seconds"] for told in tolds),
            {"client": sum(told["cpu_s"] for told in tolds)},
            max(told["rss_max_bytes"] for told in tolds),
            provider_cpu_s=meter.read()["provider"],
        )

    def wait_arrival(self, name: str, *, timeout_s: float) -> float | None:
        """When the first request of that name came, by the monotonic clock."""
        if not wait_for(lambda: self.count(name)[0] > 0, timeout_s=timeout_s):
            return None
        return self.journal(name).arrived[0]


def _told(client: "subprocess.Popen[bytes]", *, timeout_s: float) -> dict[str, float]:
    """What a raw client said of its run."""
    try:
        output, _ = client.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        client.kill()
        client.wait()
        raise
    if client.returncode:
        raise ServerError(f"the raw client ended with {client.returncode}")
    told: dict[str, float] = json.loads(output)
    return told


@contextmanager
def mock_provider(directory: Path, latency_s: float) -> Iterator[MockProvider]:
    """A provider of ours for the block."""
    log = directory / "provider.log"
    child = Child(
        [sys.executable, "-m", "tests.bench.provider", "--latency", str(latency_s)], log=log
    )
    try:
        child.wait_until(lambda: log.read_bytes().endswith(b"\n"))
        yield MockProvider(child, int(log.read_text(encoding="ascii").split()[0]))
    finally:
        child.stop()


def wait_quiet(provider: MockProvider, name: str, *, timeout_s: float = 10.0) -> None:
    """Wait until nothing that came in under a name is still unanswered."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        came, answered = provider.count(name)
        if came == answered:
            return
        time.sleep(0.05)
