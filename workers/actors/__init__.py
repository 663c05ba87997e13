"""The actors, one module and one step each. Importing this package knows them all."""

from workers.actors import advance, deliver, dispatch, finalize, judge, plan, reconcile

__all__ = ["advance", "deliver", "dispatch", "finalize", "judge", "plan", "reconcile"]
