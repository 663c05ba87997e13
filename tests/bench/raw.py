"""The raw client: nothing but pyreqwest in a loop, the measure of ours.

`python -m tests.bench.raw URL --in-flight N --calls M` makes M calls with N in flight on uvloop,
reads every answer, keeps none, and says what it took on a line of JSON.
"""

import argparse
import asyncio
import json
import resource
import sys
import time
from collections.abc import Iterator

import uvloop
from pyreqwest.client import Client, ClientBuilder

from tests.bench.prompts import prompt_of

HEADERS = {"content-type": "application/json", "authorization": "Bearer sk-bench"}


async def call_all(url: str, in_flight: int, calls: int) -> None:
    """Make the calls."""
    body = json.dumps(
        {"model": "bench-1", "messages": [{"role": "user", "content": prompt_of(0)}]}
    ).encode()
    numbers = iter(range(calls))
    async with ClientBuilder().no_proxy().http1_only().build() as client:
        await asyncio.gather(*(_call(client, url, body, numbers) for _ in range(in_flight)))


async def _call(client: Client, url: str, body: bytes, numbers: Iterator[int]) -> None:
    for _ in numbers:
        request = client.post(url).headers(HEADERS).body_bytes(body).build()
        answer = await request.send()
        if answer.status != 200:
            raise RuntimeError(f"the provider answered {answer.status}")
        await answer.bytes()


def main() -> None:
    """Make the calls, and say what they took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--in-flight", type=int, required=True)
    parser.add_argument("--calls", type=int, required=True)
    options = parser.parse_args()
    began, cpu_began_s = time.monotonic(), time.process_time()
    uvloop.run(call_all(options.url, options.in_flight, options.calls))
    told = {
        "seconds": time.monotonic() - began,
        "cpu_s": time.process_time() - cpu_began_s,
        "rss_max_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
