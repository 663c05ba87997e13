"""Receive webhooks: verify each, take each event once, and fetch what it is about.

    python examples/receive_webhooks.py [MODEL ...]

It listens on a free port of this machine, submits a batch that names it, and ends once the batch
is done. A server of your own would do in `take` what this one does, and go on.
"""

import queue
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

from standardwebhooks import Webhook, WebhookVerificationError
from where import overnight

MODELS = ["simulated/gold", "simulated/bronze"]
BODY_BYTES_MAX = 64 * 1024
events: queue.Queue = queue.Queue()


class Handler(BaseHTTPRequestHandler):
    """One delivery."""

    webhook: Webhook
    seen: ClassVar[set[str]] = set()

    def do_POST(self) -> None:
        """Answer quickly, and work later: whoever takes too long is told again."""
        length = int(self.headers.get("content-length", 0))
        self.send_response(self.take(self.rfile.read(min(length, BODY_BYTES_MAX))))
        self.end_headers()

    def take(self, body: bytes) -> int:
        """Verify a delivery, and put its event into the queue, once."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            event = self.webhook.verify(body, headers)
        except WebhookVerificationError:
            return 401
        # An event may be told more than once; its id is always the same.
        if headers["webhook-id"] not in self.seen:
            self.seen.add(headers["webhook-id"])
            events.put(event)
        return 204

    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""


def main() -> None:
    """Listen, submit, wait to be told, fetch."""
    with overnight() as client, HTTPServer(("127.0.0.1", 0), Handler) as server:
        Handler.webhook = Webhook(client.get("/v1/webhooks/secret").json()["secret"])
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/overnight"
        batch = {
            "mode": "compare",
            "models": sys.argv[1:] or MODELS,
            "jobs": [{"custom_id": "sky", "prompt": "Why is the sky dark at night?"}],
            "webhook": {"url": url},
        }
        answer = client.post("/v1/batches", json=batch)
        if answer.is_error:
            sys.exit(answer.json()["error"]["message"])
        event = events.get(timeout=120)
        print(f"told of {event['type']}")
        batch_id = event["data"]["id"]
        for job in client.get(f"/v1/batches/{batch_id}/results").json()["data"]:
            for one in job["completions"]:
                print(f"{job['custom_id']}  {one['label']}  {one['state']}")
        server.shutdown()


if __name__ == "__main__":
    main()
