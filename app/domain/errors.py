"""Every error Overnight raises on purpose.

AppError
  + RejectedError                 the caller must change something
    - InvalidRequestError           the input is wrong; `param` says where
    - UnauthorizedError             no valid API key
    - ForbiddenError                the key's scopes do not allow it
      . QuotaError                    over what the account may have at a time
    - NotFoundError                 no such thing (or another account's)
    - GoneError                     it was there, and its text was destroyed
    - ConflictError                 not in this state, or not with this Idempotency-Key
    - InsufficientCreditsError      the hold does not fit the available credits
    - TooLargeError                 over a limit on size
    - RateLimitedError              asked too often; `retry_after_s` says when to ask again
    - UnavailableError              try again soon: the store is busy or away
  + ProviderError                 a provider let us down; the engine reads its class
    - ProviderRateLimitedError      wait, costs no attempt
    - ProviderKeyRefusedError       park the lane, costs no attempt
    - ProviderUnavailableError      next attempt, nothing was bought
    - MalformedCompletionError      next attempt, something may have been bought
    - OutcomeUnknownError           the request left, the answer never came
    - ProviderRefusedError          never again: the request itself is at fault
  + AddressRefusedError           the address guard does not let us connect there
  + DeliveryError                 the customer's endpoint let us down
  + SealError                     a ciphertext does not open, or is not where it belongs
  + InvariantError                a law of the data is broken; wake someone
  + SetupError                    this process cannot start as it is configured

A class's docstring is its default message.
"""

from typing import ClassVar

from app.domain.completion import Usage


class AppError(Exception):
    """Something went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__ or "")

    @property
    def message(self) -> str:
        """What to tell a person; never holds a secret."""
        return str(self.args[0])


class RejectedError(AppError):
    """The request was rejected."""

    type: ClassVar[str] = "invalid_request"

    def __init__(self, message: str | None = None, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class InvalidRequestError(RejectedError):
    """The request is not valid."""


class UnauthorizedError(RejectedError):
    """No valid API key: send `Authorization: Bearer ovn_…`."""

    type = "unauthorized"


class ForbiddenError(RejectedError):
    """This API key's scopes do not allow that."""

    type = "forbidden"


class QuotaError(ForbiddenError):
    """That is more than the account may have at a time."""

    type = "quota_exceeded"


class NotFoundError(RejectedError):
    """There is no such thing here."""

    type = "not_found"


class GoneError(RejectedError):
    """Its text was destroyed."""

    type = "gone"


class ConflictError(RejectedError):
    """That does not fit the current state."""

    type = "conflict"


class InsufficientCreditsError(RejectedError):
    """There are not enough credits available."""

    type = "insufficient_credits"


class TooLargeError(RejectedError):
    """That is larger than the limit."""

    type = "too_large"


class RateLimitedError(RejectedError):
    """Too many requests; wait before the next one."""

    type = "rate_limited"

    def __init__(self, message: str | None = None, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class UnavailableError(RejectedError):
    """The store cannot be reached just now; try again soon."""

    type = "unavailable"

    def __init__(self, message: str | None = None, *, retry_after_s: int = 2) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ProviderError(AppError):
    """The provider did not answer as hoped.

    Attributes:
        reason: one machine-readable word, stored with the attempt.
        status_code: the HTTP status, if there was an answer.
        request_id: the provider's own id of the request, if it told one.
        usage: what it says it used all the same, and will want to be paid for.
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        reason: str,
        status_code: int | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.status_code = status_code
        self.request_id = request_id
        self.usage: Usage | None = None


class ProviderRateLimitedError(ProviderError):
    """The provider asks us to wait.

    Attributes:
        retry_after_s: the wait it asks for, in seconds; None if it named none.
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        reason: str = "rate_limited",
        retry_after_s: float | None = None,
        status_code: int | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, reason=reason, status_code=status_code, request_id=request_id)
        self.retry_after_s = retry_after_s


class ProviderKeyRefusedError(ProviderError):
    """The provider refuses this key."""


class ProviderUnavailableError(ProviderError):
    """The provider is not available.

    Attributes:
        retry_after_s: the wait it asks for, in seconds; None if it named none.
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        reason: str,
        retry_after_s: float | None = None,
        status_code: int | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, reason=reason, status_code=status_code, request_id=request_id)
        self.retry_after_s = retry_after_s


class MalformedCompletionError(ProviderError):
    """The provider's answer cannot be read."""


class OutcomeUnknownError(ProviderError):
    """The request was sent and its answer never came."""


class ProviderRefusedError(ProviderError):
    """The provider will never accept this request."""


class AddressRefusedError(AppError):
    """That address is private, reserved or not allowed."""


class DeliveryError(AppError):
    """The endpoint did not accept the delivery."""


class SealError(AppError):
    """The ciphertext does not open."""


class InvariantError(AppError):
    """A law of the data is broken."""


class SetupError(AppError):
    """Overnight cannot start as it is configured."""
