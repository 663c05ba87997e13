"""litellm: `acompletion` for every prompt, with a semaphore."""

import asyncio
import json
import sys

import litellm


async def main(base_url: str, prompts: str, in_flight: int) -> None:
    """Ask every prompt."""
    slots = asyncio.Semaphore(in_flight)

    async def ask(prompt: str) -> None:
        async with slots:
            await litellm.acompletion(
                model="openai/bench-1",
                api_base=base_url,
                api_key="sk-bench",
                messages=[{"role": "user", "content": prompt}],
                num_retries=0,
            )

    with open(prompts, encoding="utf-8") as file:  # noqa: ASYNC230, PTH123 - it is short
        texts = [json.loads(line)["messages"][0]["content"] for line in file]
    await asyncio.gather(*map(ask, texts))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
