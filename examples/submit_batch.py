"""Submit a batch of prompts to several models, wait for it, and read the answers.

python examples/submit_batch.py [MODEL ...]
"""

import hashlib
import json
import sys
import time

from where import overnight

PROMPTS = {
    "sky": "Why is the sky dark at night?",
    "tea": "Name two ways to cool a cup of tea, and say which is faster.",
    "bridge": "What holds an arch bridge up?",
}
MODELS = ["simulated/gold", "simulated/bronze"]
CLOSED = {"completed", "failed", "expired", "cancelled"}


def main() -> None:
    """Submit, wait, print."""
    batch = {
        "name": "example",
        "mode": "compare",
        "models": sys.argv[1:] or MODELS,
        "params": {"max_tokens": 200},
        "budget_usd": 1,
        "jobs": [{"custom_id": name, "prompt": text} for name, text in PROMPTS.items()],
    }
    body = json.dumps(batch).encode()
    # The same key with the same bytes is the same batch, so sending it again does no harm. This
    # one changes each minute, so that the example can be run again.
    key = hashlib.sha256(body + str(int(time.time() // 60)).encode()).hexdigest()
    with overnight() as client:
        answer = client.post("/v1/batches", content=body, headers={"Idempotency-Key": key})
        if answer.is_error:
            sys.exit(answer.json()["error"]["message"])
        batch_id = answer.json()["id"]
        while (batch := client.get(f"/v1/batches/{batch_id}").json())["state"] not in CLOSED:
            time.sleep(0.5)
        print(f"{batch_id} is {batch['state']}")
        with client.stream(
            "GET", f"/v1/batches/{batch_id}/results", params={"format": "jsonl"}
        ) as lines:
            for line in lines.iter_lines():
                show(json.loads(line))


def show(job: dict) -> None:
    """Print one job: an answer and its price for each model."""
    for one in job["completions"]:
        text = one["text"] if one["error"] is None else f"({one['error']['reason']})"
        cost = "unknown" if one["cost_nanos"] is None else f"${one['cost_nanos'] / 1e9:.6f}"
        print(f"{job['custom_id']}  {one['label']}  {cost}  {text}")


if __name__ == "__main__":
    main()
