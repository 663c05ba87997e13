"""A secret that travels through the code without being seen."""

from typing import NoReturn

from typing_extensions import override


class Secret:
    """A string that shows itself only to who asks by name: `secret.reveal()`.

    Any other way to turn it into text gives `***`, and pickling it is refused, so that it
    can't reach a log, a message or another process by accident.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself; keep it in a local variable, and not for long."""
        return self._value

    @override
    def __repr__(self) -> str:
        return "***"

    @override
    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is not pickled or copied")
