"""What a provider tells of its limits beside an answer, as plain values."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ToldRate:
    """One limit as the answer's headers told it; what was not told is None.

    Attributes:
        limit: how much goes through in a window, requests or tokens.
        remaining: how much of that is left.
        reset_s: seconds until all of it is there again.
    """

    limit: int | None = None
    remaining: int | None = None
    reset_s: float | None = None

    @property
    def is_spent(self) -> bool:
        """Whether nothing is left of it."""
        return self.remaining is not None and self.remaining <= 0


@dataclass(frozen=True, slots=True)
class ToldLimits:
    """The limits that an answer told: of requests, and of tokens.

    Tokens are one limit, or two where those of prompts and of answers are limited apart.
    """

    requests: ToldRate = ToldRate()
    tokens: tuple[ToldRate, ...] = ()

    @property
    def rates(self) -> tuple[ToldRate, ...]:
        """All of them."""
        return (self.requests, *self.tokens)
