"""Who can be compared with whom: what the graph of battles allows to be said.

Two contestants that no chain of battles joins have no ratings on one scale. And among those
that one joins, the likelihood has a maximum only if there is no way to part them in two such
that one part won every battle against the other: L. R. Ford, "Solution of a ranking problem
from binary comparisons", American Mathematical Monthly 64(8) (1957), 28-33.
"""

from math import ceil, log2

import numpy as np
from numpy.typing import NDArray

from app.stats.battles import Floats

Booleans = NDArray[np.bool_]


def groups(wins: Floats) -> list[list[int]]:
    """Contestants that battles join, directly or through others; the largest group first."""
    joined = reached((wins + wins.T) > 0)
    found: list[list[int]] = []
    for place in range(len(wins)):
        if not any(place in group for group in found):
            found.append([int(other) for other in np.flatnonzero(joined[place])])
    return sorted(found, key=len, reverse=True)


def is_balanced(wins: Floats) -> Booleans:
    """Whether from everybody a chain of wins leads to everybody; of one matrix, or of a stack."""
    return np.asarray(reached(wins > 0).all(axis=(-2, -1)))


def reached(edges: Booleans) -> Booleans:
    """Which place can be reached from which along the edges, itself included."""
    size = edges.shape[-1]
    paths = edges | np.eye(size, dtype=np.bool_)
    for _ in range(ceil(log2(size)) if size > 1 else 0):
        paths = (paths.astype(np.float32) @ paths.astype(np.float32)) > 0
    return paths
