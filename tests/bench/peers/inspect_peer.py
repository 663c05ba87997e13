"""inspect-ai: one task whose samples are the prompts."""

import json
import sys

from inspect_ai import Task, eval  # noqa: A004 - it is called so
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import get_model
from inspect_ai.solver import generate


def main(base_url: str, prompts: str, in_flight: int) -> None:
    """Ask every prompt."""
    with open(prompts, encoding="utf-8") as file:  # noqa: PTH123 - it is short
        samples = [Sample(json.loads(line)["messages"][0]["content"]) for line in file]
    model = get_model("openai/bench-1", base_url=base_url, api_key="sk-bench", responses_api=False)
    eval(
        Task(dataset=MemoryDataset(samples), solver=generate()),
        model=model,
        max_connections=in_flight,
        max_samples=in_flight,
        max_tasks=1,
        display="none",
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
