"""Who is let in: the API key of a request, how often it may ask, and who guesses at keys."""

import ipaddress
from collections.abc import MutableMapping
from math import ceil
from typing import Any

import structlog
from fastapi import Request
from starlette.concurrency import run_in_threadpool

from app.accounts.api_keys import Principal
from app.accounts.limits import in_force
from app.domain.errors import RateLimitedError, UnauthorizedError
from app.limits.requests import RequestLimiter, Take, Window
from app.pipeline.accounts import admit, note_use
from app.pipeline.services import Services

log = structlog.get_logger(__name__)

_MINUTE_S = 60
_BURST_S = 10
#: Whoever has one address of IPv6 has all of its network's.
_NETWORK_BITS = 64


class Admission:
    """Lets requests in, one key and one account at a time.

    Nothing is remembered of a key between requests, so that one that is revoked is refused by
    every process at once. An address with many failures is told to wait, and its valid keys
    are let in as ever: to be locked out by what others guess would be worse than guesses.
    """

    def __init__(self, services: Services, limiter: RequestLimiter) -> None:
        self._services = services
        self._limiter = limiter

    async def admit(self, request: Request) -> Principal:
        """Whose request this is; the account's limits are told in the answer's headers.

        Raises:
            UnauthorizedError: there is no valid key in it, or more than one.
            RateLimitedError: the account has asked, or the address has guessed, too often.
        """
        given = request.headers.getlist("authorization")
        only = given[0] if len(given) == 1 else None
        try:
            principal = await run_in_threadpool(admit, self._services.store, only)
        except UnauthorizedError:
            if given:
                await self._note_failure(address_of(request))
            raise
        if principal.is_note_due:
            store, key_id = self._services.store, principal.api_key_id
            after_answer(request.scope, note_use, store, key_id)
        await self._limit(request.scope, principal)
        return principal

    async def _limit(self, scope: MutableMapping[str, Any], principal: Principal) -> None:
        settings = self._services.settings
        sizes = (
            (in_force(principal.requests_per_minute, settings.requests_per_minute), _MINUTE_S),
            (settings.requests_per_10_s, _BURST_S),
        )
        windows = [Window(limit, seconds) for limit, seconds in sizes if limit is not None]
        if not windows:
            return
        take = await self._limiter.take(principal.account_id, windows)
        scope.setdefault("answer_headers", []).extend(_headers_of(take))
        if not take.allowed:
            raise _too_often("this account", take)

    async def _note_failure(self, address: str) -> None:
        window = Window(self._services.settings.failed_keys_per_minute, _MINUTE_S)
        take = await self._limiter.take(f"failed:{address}", [window])
        if take.allowed and take.remaining == 0:
            log.warning("api_keys_guessed", address=address, failed_per_minute=take.limit)
        if not take.allowed:
            raise _too_often("this address, without a valid API key", take)


def address_of(request: Request) -> str:
    """The client's address, or of IPv6 its network. No header is believed about it."""
    host = request.client.host if request.client is not None else "unknown"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host[:_NETWORK_BITS]
    if address.version == 4:  # noqa: PLR2004 - of the protocol
        return str(address)
    return str(ipaddress.ip_network(f"{address}/{_NETWORK_BITS}", strict=False))


def after_answer(scope: MutableMapping[str, Any], work: Any, *args: Any) -> None:
    """Do something once the answer is on its way: whoever asked does not wait for it."""
    scope.setdefault("after_answer", []).append((work, args))


def _headers_of(take: Take) -> list[tuple[bytes, bytes]]:
    return [
        (b"x-ratelimit-limit", str(take.limit).encode()),
        (b"x-ratelimit-remaining", str(take.remaining).encode()),
        (b"x-ratelimit-reset", str(take.reset_at).encode()),
    ]


def _too_often(who: str, take: Take) -> RateLimitedError:
    wait_s = max(1, ceil(take.reset_s))
    return RateLimitedError(
        f"too many requests of {who}; the next one is taken in {wait_s} s", retry_after_s=wait_s
    )
