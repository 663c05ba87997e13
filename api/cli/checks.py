"""What `overnight doctor` looks at. Each check says what is so, and what to do if it is not well."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from redis import RedisError

from api.cli.client import Client
from api.cli.failure import Failure
from api.cli.place import API_KEY_FILE, api_url, facts_of_up, find_api_key
from app.db import Store
from app.domain.clock import utc_now
from app.domain.errors import AppError
from app.migrations import check_schema, head
from app.pipeline.room import rooms
from app.queue import redis_client
from app.settings import Settings
from app.vault.custody import KEY_FILE, check_vault, key_file_of, load_vault

SKEW_MAX_S = 2.0
_PRIVATE = stat.S_IRWXG | stat.S_IRWXO


class Level(StrEnum):
    """How well it is."""

    OK = "ok"
    WARNING = "warning"  # it works, and could be better
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found. `advice` says what to do."""

    check: str
    level: Level
    detail: str
    advice: str | None = None

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


Check = Callable[[Settings], Iterator[Finding]]


def examine(settings: Settings) -> list[Finding]:
    """Everything that can be found out from here."""
    checks: tuple[Check, ...] = (_data_dir, _disks, _store, _broker, _api)
    return [finding for check in checks for finding in check(settings)]


def _data_dir(settings: Settings) -> Iterator[Finding]:
    path = settings.data_dir
    if not path.is_dir():
        if settings.is_embedded:
            yield Finding(
                "data directory", Level.BROKEN, f"{path} is not there", "make it: `overnight up`"
            )
        return
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        yield Finding(
            "data directory",
            Level.BROKEN,
            f"{path} cannot be read and written by this user",
            "run as the user who owns it, or set OVERNIGHT_DATA_DIR to another",
        )
        return
    open_to_others = [one for one in (path, *_secret_files(path)) if one.stat().st_mode & _PRIVATE]
    for one in open_to_others:
        mode = stat.S_IMODE(one.stat().st_mode)
        right = "700" if one.is_dir() else "600"
        yield Finding(
            "data directory",
            Level.WARNING,
            f"others on this machine may use {one} (mode {mode:o})",
            f"chmod {right} {one}",
        )
    if not open_to_others:
        yield Finding("data directory", Level.OK, f"{path} is ours alone")


def _disks(settings: Settings) -> Iterator[Finding]:
    for room in rooms(settings):
        if room.is_scarce:
            yield Finding("disk", Level.WARNING, room.warning, "make room on it")
        else:
            left = room.free_bytes / 1024**3
            yield Finding("disk", Level.OK, f"{room.path}: {left:.1f} GiB left")


def _secret_files(path: Path) -> list[Path]:
    return [one for name in (API_KEY_FILE, KEY_FILE) if (one := path / name).exists()]


def _store(settings: Settings) -> Iterator[Finding]:
    # Merely to connect would make an empty one.
    if settings.is_embedded and not Path(settings.store_url.removeprefix("sqlite:///")).exists():
        yield Finding(
            "store", Level.BROKEN, "there is none yet", "make it: `overnight up`, or `migrate`"
        )
        return
    try:
        with closing(Store(settings.store_url, pool_size=1)) as store:
            yield from _schema(store)
            yield _clock(store)
            yield _master_key(settings, store)
    except Exception as error:  # noqa: BLE001 - whatever a driver raises, it is the finding
        reason = error.message if isinstance(error, AppError) else type(error).__name__
        yield Finding("store", Level.BROKEN, reason, "check DATABASE_URL, and that it runs")


def _schema(store: Store) -> Iterator[Finding]:
    try:
        check_schema(store.engine)
    except AppError as error:
        yield Finding("schema", Level.BROKEN, error.message, "`overnight migrate`")
        raise
    kind = "SQLite" if store.is_sqlite else "PostgreSQL"
    yield Finding("store", Level.OK, f"{kind}, schema {head()}")


def _clock(store: Store) -> Finding:
    with store.read() as session:
        before = utc_now()
        theirs = store.now(session)
        skew_s = (theirs - before).total_seconds()
    if abs(skew_s) > SKEW_MAX_S:
        return Finding(
            "clock",
            Level.WARNING,
            f"the store's clock is {skew_s:+.1f} s from this machine's",
            "set both by NTP: webhooks are signed with a time, and start times are yours",
        )
    return Finding("clock", Level.OK, f"within {SKEW_MAX_S:.0f} s of the store's")


def _master_key(settings: Settings, store: Store) -> Finding:
    file = key_file_of(settings)
    is_ours = file is not None and settings.byok_encryption_key_file is None
    if file is not None and not file.exists():
        # To load our own would make a new one, which opens nothing.
        return Finding(
            "master key",
            Level.BROKEN,
            f"{file} is not there",
            "put it back from your copy, or set BYOK_ENCRYPTION_KEY",
        )
    try:
        vault = load_vault(settings)
        check_vault(store, vault)
    except AppError as error:
        return Finding("master key", Level.BROKEN, error.message, "set BYOK_ENCRYPTION_KEY")
    return Finding(
        "master key",
        Level.OK,
        f"opens every account's keys ({vault.source})",
        "keep a copy of it elsewhere: without it no provider key opens" if is_ours else None,
    )


def _broker(settings: Settings) -> Iterator[Finding]:
    is_ours = settings.redis_url is None
    url = settings.broker_url
    if is_ours:
        url = str(facts_of_up(settings.data_dir).get("broker_url") or url)
    try:
        with closing(redis_client(url)) as client:
            client.ping()
            policy = client.config_get("maxmemory-policy").get("maxmemory-policy")
    except (RedisError, OSError, ValueError) as error:
        advice = "start it: `overnight up`" if is_ours else "check REDIS_URL, and that it runs"
        yield Finding("broker", Level.BROKEN, f"cannot be reached ({type(error).__name__})", advice)
        return
    if policy != "noeviction":
        yield Finding(
            "broker",
            Level.WARNING,
            f"its maxmemory-policy is {policy}, and may drop the whole queue",
            "set maxmemory-policy to noeviction",
        )
        return
    yield Finding("broker", Level.OK, "embedded Valkey" if is_ours else "answers")


def _api(settings: Settings) -> Iterator[Finding]:
    url, key = api_url(settings), find_api_key(settings)
    with Client(url, key) as client:
        try:
            client.get("/healthz")
        except Failure as failure:
            yield Finding("API", Level.BROKEN, failure.message, "start it: `overnight up`")
            return
        yield Finding("API", Level.OK, f"answers at {url}")
        try:
            keys = client.get("/v1/settings/keys")["data"]
        except Failure as failure:
            yield Finding("API key", Level.BROKEN, failure.message)
            return
    if key is not None:
        yield Finding("API key", Level.OK, f"{key.hint} from {key.source} is accepted")
    yield from map(_provider_key, keys)


def _provider_key(setting: dict[str, Any]) -> Finding:
    name = f"key of {setting['provider']}"
    if setting["state"] == "open":
        return Finding(name, Level.OK, f"…{setting['hint']}" if setting["hint"] else "none needed")
    return Finding(
        name,
        Level.WARNING,
        f"{setting['state']}: {setting['parked_reason'] or 'no reason given'}",
        f"set it again: `overnight keys set {setting['provider']}`",
    )
