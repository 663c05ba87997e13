"""Signs of life of the installation, by name, as the store counts them."""

from enum import StrEnum


class Sign(StrEnum):
    """Something that happens again and again, and is worth knowing when it did last."""

    RECONCILED = "reconciled"  # reconcile came to its end
    WORKERS_LOST = "workers_lost"  # a worker's calls were given back
