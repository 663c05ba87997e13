"""What a call of an entry takes of a token rate: its bound at first, then what its like took."""

from collections.abc import Collection

from workers.choose import Key

#: What a call is taken to need before anything is known of its kind.
GUESS = 1500
#: How much one more answer counts.
_PART = 0.1


class Tokens:
    """Tokens per call, by backlog entry: a moving average of what providers told."""

    def __init__(self) -> None:
        self._bounds: dict[Key, float] = {}
        self._taken: dict[Key, float] = {}

    def each(self, key: Key) -> int:
        """What a permit for a call of this entry is for."""
        return round(self._taken.get(key) or self._bounds.get(key) or GUESS)

    def bound(self, key: Key, bounds: Collection[int]) -> None:
        """So much such calls may take at most, by their prompts and the bound on their answers."""
        if bounds:
            self._bounds[key] = sum(bounds) / len(bounds)

    def took(self, key: Key, tokens: int) -> None:
        """One took so much, by its answer."""
        known = self._taken.get(key)
        self._taken[key] = tokens if known is None else known + _PART * (tokens - known)

    def keep(self, keys: Collection[Key]) -> None:
        """Forget all other entries."""
        self._bounds = {key: one for key, one in self._bounds.items() if key in keys}
        self._taken = {key: one for key, one in self._taken.items() if key in keys}
