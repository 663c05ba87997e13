"""Where the API is, and the API key to show it, as settings and the data directory say."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import override

from app.settings import Settings

API_KEY_FILE = "api-key"
LOCK_FILE = "up.lock"
_HINT_CHARS = 4


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key, and where it was found. It shows its last characters only."""

    value: str
    source: str

    @property
    def hint(self) -> str:
        """Enough to tell one key from another."""
        return f"…{self.value[-_HINT_CHARS:]}"

    @override
    def __repr__(self) -> str:
        return f"ApiKey({self.hint}, {self.source})"


def api_url(settings: Settings) -> str:
    """Where the API is: as set, or where the `overnight up` of the data directory put it."""
    if settings.url is None and settings.port == 0:
        return str(facts_of_up(settings.data_dir).get("url", settings.api_url))
    return settings.api_url


def find_api_key(settings: Settings) -> ApiKey | None:
    """The API key that is set, or else the local account's."""
    if settings.api_key is not None and settings.api_key.get_secret_value().strip():
        return ApiKey(settings.api_key.get_secret_value().strip(), "OVERNIGHT_API_KEY")
    path = settings.data_dir / API_KEY_FILE
    try:
        return ApiKey(path.read_text(encoding="utf-8").strip(), str(path))
    except OSError:
        return None


def facts_of_up(data_dir: Path) -> dict[str, Any]:
    """What the last `overnight up` of a data directory wrote down; it may have ended since."""
    try:
        facts = json.loads((data_dir / LOCK_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}
