"""The modes there are. A new one is a file, and a line here."""

from app.domain.errors import InvalidRequestError
from app.domain.plan import Mode
from app.modes.blend import Blend
from app.modes.chat import Chat
from app.modes.compare import Compare
from app.modes.judge import Judge
from app.modes.mesh import Mesh

MODES: dict[str, Mode] = {
    "chat": Chat(),
    "compare": Compare(),
    "judge": Judge(),
    "blend": Blend(),
    "mesh": Mesh(),
}


def mode_for(name: str) -> Mode:
    """The mode of this name.

    Raises:
        InvalidRequestError: there is none.
    """
    mode = MODES.get(name)
    if mode is None:
        raise InvalidRequestError(
            f"mode: there is none called {name[:40]!r}; there are {', '.join(MODES)}", param="mode"
        )
    return mode
