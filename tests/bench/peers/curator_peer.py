"""bespokelabs-curator: its online processor over the prompts."""

import json
import os
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from bespokelabs import curator


def main(base_url: str, prompts: str, in_flight: int) -> None:
    """Ask every prompt."""
    with open(prompts, encoding="utf-8") as file:  # noqa: PTH123 - it is short
        texts = [json.loads(line)["messages"][0]["content"] for line in file]
    limits = {
        "base_url": base_url,
        "max_concurrent_requests": in_flight,
        "max_requests_per_minute": 1_000_000,
        "max_tokens_per_minute": 1_000_000_000,
    }
    # It counts every prompt's tokens by a vocabulary that it would fetch from the network at each
    # start; the same file lies in litellm, which it needs anyway.
    package = Path(find_spec("litellm").submodule_search_locations[0])
    os.environ["TIKTOKEN_CACHE_DIR"] = str(package / "litellm_core_utils" / "tokenizers")
    with tempfile.TemporaryDirectory() as cache:
        os.environ.update(
            CURATOR_CACHE_DIR=cache, OPENAI_API_KEY="sk-bench", TELEMETRY_ENABLED="false"
        )
        llm = curator.LLM(model_name="bench-1", backend="openai", backend_params=limits)
        llm(texts)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
