"""Carries one claimed call to its provider and back: built, sent, read and priced."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor

import structlog

from app.domain.errors import (
    AddressRefusedError,
    NotFoundError,
    ProviderError,
    ProviderKeyRefusedError,
    ProviderRefusedError,
    SealError,
)
from app.domain.states import Billed
from app.domain.told import ToldLimits
from app.domain.wire import Sender
from app.net import parse_trusted
from app.pipeline.outcomes import ClaimedCall, Finished, Policy, answered, erred
from app.pipeline.prepare import Prepared
from app.pipeline.services import Services
from app.providers import registry
from app.providers.base import CallInput
from app.providers.senders import SenderSet
from app.providers.told import limits_told
from app.vault.provider_keys import Credential, open_credential

log = structlog.get_logger(__name__)

_CREDENTIALS_KEPT = 1024


class Carrier:
    """Sends calls on the worker's loop.

    Args:
        services: where credentials are opened.
        policy: what follows from a failure.
        executor: where the store may be read.
    """

    def __init__(self, services: Services, policy: Policy, executor: Executor) -> None:
        self._services = services
        self._policy = policy
        self._executor = executor
        self._trusted = parse_trusted(services.settings.trusted_hosts)
        self._senders = SenderSet(
            services.settings.trusted_hosts, in_flight_max=services.settings.worker_in_flight
        )
        # By the key's own id and base URL: a key that was replaced is never found here.
        self._credentials: dict[tuple[str, str | None, str | None], Credential] = {}
        self._sender_of: dict[tuple[str, str | None], Sender] = {}
        self._timeout_s = services.settings.attempt_timeout_s
        self.on_told: Callable[[str, ToldLimits], None] = lambda _lane_id, _limits: None

    async def carry(self, prepared: Prepared) -> tuple[Finished, ProviderError | None]:
        """One attempt. Never raises; the error, if there is one, is for governor and breaker."""
        call = prepared.call
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            finished = await self._attempt(prepared, started)
        except ProviderError as error:
            failed = erred(call, error, self._policy, _ms(loop.time() - started))
            price = call.terms.price_of(call.provider, call.model, call.billed)
            if failed.wasted is not None and price is not None:
                failed.wasted_nanos = price.cost_nanos(failed.wasted)
            return failed, error
        except AddressRefusedError as error:
            refused = ProviderRefusedError(error.message, reason="address_refused")
            return erred(call, refused, self._policy, _ms(loop.time() - started)), refused
        except (NotFoundError, SealError) as error:
            unusable = ProviderKeyRefusedError(error.message, reason="key_unusable")
            return erred(call, unusable, self._policy, 0), unusable
        except asyncio.CancelledError:
            raise
        except Exception as error:
            # A bug of ours in an adapter, most likely: the call fails, and the worker lives.
            log.exception("call_failed_inside", call=call.id)
            inside = ProviderRefusedError(
                f"internal error ({type(error).__name__})", reason="internal_error"
            )
            return erred(call, inside, self._policy, _ms(loop.time() - started)), inside
        return finished, None

    async def _attempt(self, prepared: Prepared, started: float) -> Finished:
        call = prepared.call
        credential = await self._credential(prepared)
        adapter = registry.adapter_for(call.provider)
        given = CallInput(
            call.id,
            call.model,
            prepared.messages,
            prepared.params,
            max_tokens=call.max_tokens,
            attempt=call.epoch,
        )
        request = adapter.build(given, credential)
        response = await self._sender_for(call, credential).send(request, self._timeout_s)
        latency_ms = _ms(asyncio.get_running_loop().time() - started)
        if told := limits_told(response.headers):
            self.on_told(call.lane_id, told)
        completion = adapter.read(response, given, credential)
        finished = answered(call, completion, latency_ms)
        finished.status_code = response.status_code
        price = call.terms.price_of(call.provider, call.model, call.billed)
        if price is not None:
            finished.cost_nanos = price.cost_nanos(completion.usage)
            finished.price_version = price.version
        return finished

    def _sender_for(self, call: ClaimedCall, credential: Credential) -> Sender:
        if call.billed is Billed.CREDITS:
            # A platform credential's URL is the operator's own: there is nothing to guard.
            return self._senders.of(registry.SenderKind.FAST)
        where = (call.provider, credential.base_url)
        sender = self._sender_of.get(where)
        if sender is None:
            sender = self._senders.of(registry.sender_kind(*where, self._trusted))
            if len(self._sender_of) >= _CREDENTIALS_KEPT:
                self._sender_of.clear()
            self._sender_of[where] = sender
        return sender

    async def _credential(self, prepared: Prepared) -> Credential:
        key = (prepared.call.lane_id, prepared.provider_key_id, prepared.base_url)
        known = self._credentials.get(key)
        if known is None:
            loop = asyncio.get_running_loop()
            known = await loop.run_in_executor(self._executor, self._open, prepared.call.lane_id)
            if len(self._credentials) >= _CREDENTIALS_KEPT:
                self._credentials.clear()
            self._credentials[key] = known
        return known

    def _open(self, lane_id: str) -> Credential:
        services = self._services
        with services.store.read() as session:
            return open_credential(session, services.vault, services.settings, lane_id)

    async def close(self) -> None:
        """Close every connection."""
        await self._senders.close()


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
