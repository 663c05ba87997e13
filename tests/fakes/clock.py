"""A clock that stands still until it is told."""


class FakeClock:
    """Seconds that rise by hand; as milliseconds for the scripts of a server."""

    def __init__(self, now_s: float = 1_000_000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        """The time in seconds."""
        return self.now_s

    def ms(self) -> float:
        """The time in milliseconds."""
        return self.now_s * 1000

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now_s += seconds
