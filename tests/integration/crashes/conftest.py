"""Where the story plays."""

from tests.fakes.stages import provider, receiver, stage

__all__ = ["provider", "receiver", "stage"]
