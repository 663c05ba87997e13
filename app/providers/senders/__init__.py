"""What sends requests: a reference over httpx, and a fast one over pyreqwest.

The third, for URLs that accounts set, is `app.net.GuardedSender`; `SenderSet` holds one of each
kind that the registry names.
"""

from collections.abc import Sequence

from app.domain.wire import Sender
from app.net import RESPONSE_BYTES_MAX, GuardedSender
from app.providers.registry import SenderKind
from app.providers.senders.fast import ONE_THREAD_MAX, FastSender
from app.providers.senders.httpx import HttpxSender
from app.providers.simulated import SimulatedSender

__all__ = ["FastSender", "HttpxSender", "SenderSet"]


class SenderSet:
    """The senders of one process, for one event loop; each opens its connections on first use.

    Args:
        trusted_hosts: whose private addresses may be sent to.
        response_bytes_max: the cap on each decoded answer.
        in_flight_max: how many requests may be under way at a time.
    """

    def __init__(
        self,
        trusted_hosts: Sequence[str] = (),
        *,
        response_bytes_max: int = RESPONSE_BYTES_MAX,
        in_flight_max: int = ONE_THREAD_MAX,
    ) -> None:
        fast = FastSender(response_bytes_max=response_bytes_max, in_flight_max=in_flight_max)
        self._senders: dict[SenderKind, Sender] = {
            SenderKind.FAST: fast,
            SenderKind.GUARDED: GuardedSender(trusted_hosts, response_bytes_max=response_bytes_max),
            SenderKind.SIMULATED: SimulatedSender(),
        }

    def of(self, kind: SenderKind) -> Sender:
        """The sender of a kind."""
        return self._senders[kind]

    async def close(self) -> None:
        """Close every connection of all of them."""
        for sender in self._senders.values():
            await sender.close()
