"""What every use case is handed."""

from dataclasses import dataclass

from app.billing.pricing import ListedPrice, register_listed
from app.db import Store
from app.domain.structs import ready_structs
from app.providers import registry, simulated
from app.queue import BrokerQueue, Queue, make_broker
from app.settings import Settings
from app.vault.custody import load_vault
from app.vault.master import Vault
from app.vault.texts import VAULT


@dataclass(frozen=True, slots=True)
class Services:
    """The outside world, as far as a use case may touch it."""

    settings: Settings
    store: Store
    queue: Queue
    vault: Vault

    def __post_init__(self) -> None:
        """Let whoever reads or writes texts find the vault, and threads decode what they read."""
        self.store.info[VAULT] = self.vault
        ready_structs()


def build_services(settings: Settings, *, hot: bool = False) -> Services:
    """Services as the environment describes them.

    Args:
        settings: the environment.
        hot: pin the plans of the engine's statements, for a worker's store.

    Raises:
        SetupError: the master key is missing or malformed.
    """
    register_simulated_prices()
    registry.configure(
        anthropic_version=settings.anthropic_version,
        max_tokens_default=settings.max_tokens_default,
    )
    store = Store(settings.store_url, hot=hot, crash_at=settings.crash_at)
    return Services(
        settings, store, BrokerQueue(make_broker(settings.broker_url)), load_vault(settings)
    )


def register_simulated_prices() -> None:
    """Tell billing what the simulated provider lists: billing knows no provider itself."""
    listed = {model: ListedPrice(*price) for model, price in simulated.PRICES.items()}
    register_listed("simulated", listed, ListedPrice(*simulated.OTHER_PRICE))
