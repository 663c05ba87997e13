"""Where Overnight is, and the key to it: as the command line finds them."""

import os
from pathlib import Path

import httpx


def overnight() -> httpx.Client:
    """A client of the API that `OVERNIGHT_URL` and `OVERNIGHT_API_KEY` name."""
    home = Path(os.environ.get("OVERNIGHT_DATA_DIR", "~/.local/share/overnight")).expanduser()
    key = os.environ.get("OVERNIGHT_API_KEY") or (home / "api-key").read_text().strip()
    url = os.environ.get("OVERNIGHT_URL", "http://127.0.0.1:8484")
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30)
