"""Drawing lots that can be drawn again: all the chance a mode has comes from its job's seed."""

import base64
import hashlib
import itertools
import json
from collections.abc import Iterable, Sequence

TOKEN_CHARS = 16


class Draw:
    """Tokens drawn from a seed: who does not know the seed cannot guess them.

    They are lower-case letters and digits, the same on every machine and in every version
    of Python, which the shuffles of `random` do not promise.
    """

    def __init__(self, *seed: str, avoid: str = "") -> None:
        self._key = _digest(seed, b"")
        self._avoid = avoid
        self._given: set[str] = set()

    def token(self, *what: str) -> str:
        """The token for something: always the same for the same words."""
        digest = _digest(what, self._key)
        return base64.b32encode(digest).decode("ascii").lower()[:TOKEN_CHARS]

    def order(self, labels: Iterable[str]) -> list[str]:
        """The labels, shuffled: in the order of their tokens."""
        return sorted(labels, key=lambda label: self.token("order", label))

    def below(self, count: int) -> int:
        """A number from 0 to `count` - 1."""
        return int.from_bytes(_digest(("below",), self._key), "big") % count

    def unused(self, *what: str, chars: int = TOKEN_CHARS) -> str:
        """A token that no text to avoid contains, and that was not given before."""
        tokens = (self.token(*what, str(turn))[:chars] for turn in itertools.count())
        token = next(
            token for token in tokens if token not in self._avoid and token not in self._given
        )
        self._given.add(token)
        return token


def _digest(words: Sequence[str], key: bytes) -> bytes:
    # As JSON, so that ("a", "bc") and ("ab", "c") differ.
    return hashlib.blake2b(json.dumps(words).encode(), key=key, digest_size=20).digest()
