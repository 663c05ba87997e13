"""The lanes that credentials make: an account's, the platform's, and the simulator's."""

from dataclasses import dataclass

from sqlalchemy import update
from sqlmodel import col

from app.db import Store, Tx, insert_once
from app.domain.errors import InvalidRequestError
from app.domain.ids import Prefix, new_id
from app.domain.states import Billed, LaneState
from app.models import Lane
from app.settings import Settings

#: The provider that is part of the product, and needs no key.
SIMULATED = "simulated"
LIMIT_MAX = 2_000_000_000


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """What a lane may take: requests and tokens per minute, and calls at a time."""

    rpm: int | None = None
    tpm: int | None = None
    in_flight: int | None = None

    def check(self) -> None:
        """Refuse limits that would let nothing through, or can't be counted.

        Raises:
            InvalidRequestError: names the limit.
        """
        for name in self.__slots__:
            limit = getattr(self, name)
            if limit is not None and not 1 <= limit <= LIMIT_MAX:
                raise InvalidRequestError(
                    f"limits.{name}: must be from 1 to {LIMIT_MAX}", param=f"limits.{name}"
                )


def open_account_lane(
    tx: Tx, account_id: str, provider: str, base_url: str | None, limits: LaneLimits
) -> Lane:
    """The account's lane for a provider, made or changed, and open."""
    _make_missing(tx, account_id, provider, Billed.BYOK)
    lane: Lane = tx.exec(
        update(Lane)
        .where(col(Lane.account_id) == account_id, col(Lane.provider) == provider)
        .values(
            state=LaneState.OPEN.value,
            base_url=base_url,
            rpm=limits.rpm,
            tpm=limits.tpm,
            in_flight=limits.in_flight,
            parked_reason=None,
            parked_at=None,
            parked_until=None,
        )
        .returning(Lane)
        .execution_options(populate_existing=True)
    ).scalar_one()
    return lane


def ensure_simulated_lane(tx: Tx, account_id: str) -> None:
    """Give the account its lane to the simulator, whose prices move no credits."""
    _make_missing(tx, account_id, SIMULATED, Billed.BYOK)


def ensure_platform_lanes(tx: Tx, settings: Settings) -> None:
    """Make the platform's lanes agree with the operator's credentials, which cost credits.

    For the start of a process: a credential that is there opens its lane, even a parked one,
    for the operator may have replaced it; a lane whose credential is gone is closed.
    """
    credentials = settings.platform_credentials
    for provider, credential in sorted(credentials.items()):
        _make_missing(tx, None, provider, Billed.CREDITS)
        tx.run(
            update(Lane)
            .where(col(Lane.account_id).is_(None), col(Lane.provider) == provider)
            .values(
                state=LaneState.OPEN.value,
                base_url=credential.base_url,
                parked_reason=None,
                parked_at=None,
                parked_until=None,
            )
        )
    tx.run(
        update(Lane)
        .where(col(Lane.account_id).is_(None), col(Lane.provider).not_in(sorted(credentials)))
        .values(state=LaneState.CLOSED.value)
    )


def _make_missing(tx: Tx, account_id: str | None, provider: str, billed: Billed) -> None:
    lane = Lane(
        id=new_id(Prefix.LANE),
        account_id=account_id,
        provider=provider,
        billed=billed.value,
        created_at=Store.now(tx),
    )
    insert_once(tx, lane)
