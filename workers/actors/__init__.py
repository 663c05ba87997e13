"""The actors, one module and one step each. Importing this package knows them all."""

from workers.actors import (
    advance,
    blend,
    deliver,
    dispatch,
    finalize,
    judge,
    plan,
    purge,
    reconcile,
)

__all__ = [
    "advance",
    "blend",
    "deliver",
    "dispatch",
    "finalize",
    "judge",
    "plan",
    "purge",
    "reconcile",
]
