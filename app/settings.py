"""Every environment variable Overnight reads, with its default and its limits.

The only module that reads the environment.
"""

import os
import re
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.domain.errors import SetupError

LOOPBACK = ("127.0.0.0/8", "::1/128", "localhost")
_PLATFORM_KEY = re.compile(r"^OVERNIGHT_PLATFORM_([A-Z0-9_]+)_API_KEY$")


class PlatformCredential:
    """A provider key of the operator's: calls with it cost credits."""

    def __init__(self, provider: str, secret: SecretStr, base_url: str | None) -> None:
        self.provider = provider
        self.secret = secret
        self.base_url = base_url


class Settings(BaseSettings):
    """Settings from the environment; `overnight doctor` lists them, secrets hidden."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    database_url: str | None = Field(None, validation_alias="DATABASE_URL")
    redis_url: str | None = Field(None, validation_alias="REDIS_URL")
    byok_encryption_key: SecretStr | None = Field(None, validation_alias="BYOK_ENCRYPTION_KEY")
    #: Other custody of the master key: a file that holds it, or a command that prints it.
    byok_encryption_key_file: Path | None = Field(None, validation_alias="BYOK_ENCRYPTION_KEY_FILE")
    byok_encryption_key_command: SecretStr | None = Field(
        None, validation_alias="BYOK_ENCRYPTION_KEY_COMMAND"
    )
    data_dir: Path = Field(Path("~/.local/share/overnight"), validation_alias="OVERNIGHT_DATA_DIR")
    host: str = Field("127.0.0.1", validation_alias="OVERNIGHT_HOST")
    port: int = Field(8484, ge=0, le=65535, validation_alias="OVERNIGHT_PORT")
    url: str | None = Field(None, validation_alias="OVERNIGHT_URL")
    api_key: SecretStr | None = Field(None, validation_alias="OVERNIGHT_API_KEY")
    trusted_hosts_raw: Annotated[tuple[str, ...] | None, NoDecode] = Field(
        None, validation_alias="OVERNIGHT_TRUSTED_HOSTS"
    )
    files_url: str | None = Field(None, validation_alias="OVERNIGHT_FILES_URL")
    #: Day keys of batches that retain nothing; on many machines, a directory that all share.
    keyring_dir: Path | None = Field(None, validation_alias="OVERNIGHT_KEYRING_DIR")
    #: Other custody of the day keys: a command that keeps them.
    keyring_command: SecretStr | None = Field(None, validation_alias="OVERNIGHT_KEYRING_COMMAND")
    log_level: str = Field("INFO", validation_alias="OVERNIGHT_LOG_LEVEL")

    worker_processes: int = Field(
        os.cpu_count() or 1, ge=1, le=256, validation_alias="OVERNIGHT_WORKER_PROCESSES"
    )
    worker_in_flight: int = Field(256, ge=1, le=8192, validation_alias="OVERNIGHT_WORKER_IN_FLIGHT")
    attempts_max: int = Field(5, ge=1, le=100, validation_alias="OVERNIGHT_ATTEMPTS_MAX")
    unknown_resends_max: int = Field(
        5, ge=0, le=100, validation_alias="OVERNIGHT_UNKNOWN_RESENDS_MAX"
    )
    wait_max_s: float = Field(3600, gt=0, le=604_800, validation_alias="OVERNIGHT_WAIT_MAX_S")
    max_tokens_default: int = Field(
        4096, ge=1, le=1_000_000, validation_alias="OVERNIGHT_MAX_TOKENS_DEFAULT"
    )
    #: What an account may do and have at a time, unless it has limits of its own; None: anything.
    requests_per_minute: int | None = Field(
        None, ge=1, le=1_000_000, validation_alias="OVERNIGHT_REQUESTS_PER_MINUTE"
    )
    requests_per_10_s: int | None = Field(
        None, ge=1, le=1_000_000, validation_alias="OVERNIGHT_REQUESTS_PER_10_S"
    )
    queued_jobs_max: int | None = Field(
        None, ge=1, le=10**12, validation_alias="OVERNIGHT_QUEUED_JOBS_MAX"
    )
    storage_bytes_max: int | None = Field(
        None, ge=1, le=10**18, validation_alias="OVERNIGHT_STORAGE_BYTES_MAX"
    )
    #: How many requests without a valid key an address may make in a minute.
    failed_keys_per_minute: int = Field(
        30, ge=1, le=1_000_000, validation_alias="OVERNIGHT_FAILED_KEYS_PER_MINUTE"
    )
    #: Put on what calls with the operator's own keys cost.
    margin_percent: int = Field(0, ge=0, le=1000, validation_alias="OVERNIGHT_MARGIN_PERCENT")
    #: Anthropic's API is asked for this version (`anthropic-version`).
    anthropic_version: str = Field(
        "2026-10-21",
        pattern=r"^\d{4}-\d{2}-\d{2}$",
        validation_alias="OVERNIGHT_ANTHROPIC_VERSION",
    )
    #: All of one attempt, from connect to the last byte.
    attempt_timeout_s: float = Field(
        600, gt=0, le=3600, validation_alias="OVERNIGHT_ATTEMPT_TIMEOUT_S"
    )
    #: How long a worker that stops renewing keeps its calls.
    lease_s: float = Field(20, ge=2, le=45, validation_alias="OVERNIGHT_LEASE_S")
    #: How long calls in flight may go on after SIGTERM.
    grace_s: float = Field(25, ge=0, le=3600, validation_alias="OVERNIGHT_GRACE_S")
    #: How often the scheduler looks for what was lost or is due.
    reconcile_interval_s: float = Field(
        5, ge=0.1, le=60, validation_alias="OVERNIGHT_RECONCILE_INTERVAL_S"
    )

    #: For tests: the moment beside a commit at which the process kills itself.
    crash_at: str | None = Field(None, validation_alias="OVERNIGHT_CRASH_AT")

    @field_validator("trusted_hosts_raw", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("byok_encryption_key_file", "keyring_dir", mode="before")
    @classmethod
    def _unset(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("data_dir")
    @classmethod
    def _expand(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @property
    def store_url(self) -> str:
        """The SQLAlchemy URL of the store."""
        if self.database_url is None:
            return f"sqlite:///{self.data_dir / 'overnight.db'}"
        return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", self.database_url)

    @property
    def is_embedded(self) -> bool:
        """Whether the store is SQLite on this machine, the one-machine default."""
        return self.store_url.startswith("sqlite")

    @property
    def broker_url(self) -> str:
        """The Redis URL: the embedded Valkey's socket unless one is set."""
        return self.redis_url or f"unix://{self.data_dir / 'valkey.sock'}"

    @property
    def files_base_url(self) -> str:
        """Where input and output files live: an fsspec URL."""
        return self.files_url or f"file://{self.data_dir / 'files'}"

    @property
    def trusted_hosts(self) -> tuple[str, ...]:
        """Hosts and networks that may be reached though they are private."""
        if self.trusted_hosts_raw is not None:
            return self.trusted_hosts_raw
        return LOOPBACK if self.is_embedded else ()

    @property
    def api_url(self) -> str:
        """Where the command line finds the API."""
        return (self.url or f"http://{self.host}:{self.port}").rstrip("/")

    @cached_property
    def platform_credentials(self) -> dict[str, PlatformCredential]:
        """The operator's own provider keys, by provider."""
        found = {}
        for name, value in os.environ.items():
            match = _PLATFORM_KEY.match(name)
            if match and value.strip():
                provider = match.group(1).lower()
                base_url = os.environ.get(f"OVERNIGHT_PLATFORM_{match.group(1)}_BASE_URL")
                found[provider] = PlatformCredential(
                    provider, SecretStr(value.strip()), base_url or None
                )
        return found


def load_settings() -> Settings:
    """Read the environment.

    Raises:
        SetupError: a variable is out of its limits; the message names it, not its value.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        )
        raise SetupError(f"settings: {problems}") from None


def child_environment(**overrides: str | None) -> dict[str, str]:
    """The environment for a child process: this one's, with some variables set, or unset by None."""
    merged = {**os.environ, **overrides}
    return {name: value for name, value in merged.items() if value is not None}
