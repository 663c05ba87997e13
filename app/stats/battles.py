"""Battles: who met whom, on which prompt, and what came of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
#: Scores that should be equal are this close.
CLOSE = 1e-9


class Battle(NamedTuple):
    """One meeting of two contestants: `share` is what the first got, 1, 0.5 for a tie, or 0.

    Battles of the same `prompt` are not independent of each other; None is a prompt of its own.
    """

    first: str
    second: str
    share: float
    prompt: str | None = None


@dataclass(frozen=True, slots=True)
class Battles:
    """Battles as columns: contestants by their place in `names`, prompts by a number.

    `prompts` is None where every battle stands alone.
    """

    names: tuple[str, ...]
    first: Integers
    second: Integers
    share: Floats
    prompts: Integers | None = None

    def __len__(self) -> int:
        return len(self.share)

    @classmethod
    def of(cls, battles: Iterable[Battle], names: Sequence[str] = ()) -> "Battles":
        """From battles one by one; names that are not given come in order of appearance.

        Raises:
            ValueError: a contestant meets itself, or a share is not from 0 to 1.
        """
        places = {name: place for place, name in enumerate(names)}
        prompts: dict[str, int] = {}
        firsts, seconds, shares, numbers = list[int](), list[int](), list[float](), list[int]()
        for number, battle in enumerate(battles):
            if battle.first == battle.second:
                raise ValueError(f"{battle.first!r} cannot meet itself")
            if not 0 <= battle.share <= 1:
                raise ValueError("a share is from 0 to 1")
            own = f"\0{number}" if battle.prompt is None else battle.prompt
            firsts.append(places.setdefault(battle.first, len(places)))
            seconds.append(places.setdefault(battle.second, len(places)))
            shares.append(battle.share)
            numbers.append(prompts.setdefault(own, len(prompts)))
        pairs = np.array(firsts, dtype=np.int64), np.array(seconds, dtype=np.int64)
        return cls.of_columns(
            tuple(places), pairs, np.array(shares, dtype=float), np.array(numbers, dtype=np.int64)
        )

    @classmethod
    def of_scores(cls, names: Sequence[str], scores: Floats) -> "Battles":
        """From scores, a row for each prompt and a column for each contestant, NaN where missing.

        On every prompt each two that have a score meet once: the higher wins, equal ones tie.
        """
        return cls.of_columns(names, *meetings_of(scores))

    @classmethod
    def of_columns(
        cls,
        names: Sequence[str],
        pairs: tuple[Integers, Integers],
        share: Floats,
        prompts: Integers,
    ) -> "Battles":
        """From columns; prompts with one battle each are no clusters."""
        alone = len(np.unique(prompts)) == len(prompts)
        return cls(tuple(names), *pairs, share, None if alone else prompts)

    def where(self, chosen: NDArray[np.bool_]) -> "Battles":
        """Some of the battles, among the same names."""
        prompts = None if self.prompts is None else self.prompts[chosen]
        return Battles(
            self.names, self.first[chosen], self.second[chosen], self.share[chosen], prompts
        )

    def wins(self) -> Floats:
        """How often the row beat the column; a tie is half a win for both."""
        size = len(self.names)
        pair = np.concatenate([self.first * size + self.second, self.second * size + self.first])
        weights = np.concatenate([self.share, 1 - self.share])
        won = np.bincount(pair, weights=weights, minlength=size * size).reshape(size, size)
        return np.asarray(won, dtype=float)


def meetings_of(scores: Floats) -> tuple[tuple[Integers, Integers], Floats, Integers]:
    """Both contestants, the first one's share, and the prompt, of every meeting."""
    none = np.empty(0, dtype=np.int64)
    firsts, seconds, prompts, shares = [none], [none], [none], [np.empty(0)]
    for one in range(scores.shape[1]):
        for other in range(one + 1, scores.shape[1]):
            difference = scores[:, one] - scores[:, other]
            rows = np.flatnonzero(~np.isnan(difference))
            kept = difference[rows]
            prompts.append(rows)
            firsts.append(np.full(len(rows), one, dtype=np.int64))
            seconds.append(np.full(len(rows), other, dtype=np.int64))
            shares.append(np.where(np.abs(kept) < CLOSE, 0.5, (kept > 0).astype(float)))
    return (
        (np.concatenate(firsts), np.concatenate(seconds)),
        np.concatenate(shares),
        np.concatenate(prompts),
    )
