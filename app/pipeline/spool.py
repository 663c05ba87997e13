"""A spool: an input's lines, checked, and kept until the store has them.

Prompts go through a temporary file, for there may be many gigabytes; names and plans stay in memory.
"""

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO

import msgspec

from app.billing.bound import input_tokens_max
from app.domain.errors import InvalidRequestError
from app.domain.prompt import Prompt
from app.domain.spec import CUSTOM_ID_CHARS_MAX
from app.vault.spool import SealedSpool

#: What of a spool is kept in memory; the rest goes to a temporary file.
_SPOOL_BYTES = 8 * 1024 * 1024
#: Lines are written to the spool so many bytes at a time.
_BLOCK_BYTES = 256 * 1024
_CUSTOM_ID = re.compile(rf"[\x21-\x7e]{{1,{CUSTOM_ID_CHARS_MAX}}}")
_ENCODER = msgspec.json.Encoder()
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_BACKSLASH = ord("\\")


#: What to call a line in an error, or the number of one of a file.
Where = str | int


@dataclass(slots=True)
class Size:
    """What the jobs of one plan come to, for the hold of credits."""

    jobs: int = 0
    input_tokens: int = 0  # the sum of the prompts' bounds
    max_tokens: int = 0  # the largest bound that a job has of its own
    is_bounded: bool = True  # whether each has one

    def add(self, input_tokens: int, max_tokens: int | None) -> None:
        """Count one job more."""
        self.jobs += 1
        self.input_tokens += input_tokens
        if max_tokens is None:
            self.is_bounded = False
        elif max_tokens > self.max_tokens:
            self.max_tokens = max_tokens


@dataclass(slots=True)
class Spool:
    """Checked lines, ready to be stored.

    Attributes:
        file: the prompts as JSON, in blocks of some, with a line feed between two.
        names: every job's `custom_id`, in order, with what to call its line in an error.
        plans: which plan each job follows.
        sizes: what the jobs come to, by plan.
        early: takes prompts as soon as there is a block of them, or does not.
    """

    file: IO[bytes] | SealedSpool = field(
        default_factory=lambda: tempfile.SpooledTemporaryFile(_SPOOL_BYTES)  # noqa: SIM115 - closed by its owner
    )
    names: dict[str, Where] = field(default_factory=dict)
    plans: list[int] = field(default_factory=list)
    sizes: dict[int, Size] = field(default_factory=dict)
    early: Callable[[Sequence[bytes]], bool] | None = None
    _blocks: list[int] = field(default_factory=list)  # how long each is that is in the file
    _block: list[bytes] = field(default_factory=list)  # prompts that are not in it yet
    _block_bytes: int = 0

    @property
    def count(self) -> int:
        """How many jobs there are."""
        return len(self.plans)

    @property
    def input_tokens(self) -> int:
        """The sum of the prompts' bounds."""
        return sum(size.input_tokens for size in self.sizes.values())

    def name(self, custom_id: str, where: Where) -> None:
        """Name the job that is added next.

        Raises:
            InvalidRequestError: that is no name of a line, or another line's; tells which.
        """
        is_name = _CUSTOM_ID.fullmatch(custom_id)
        if is_name and self.names.setdefault(custom_id, where) is where:
            return
        param = f"{_said(where)}.custom_id"
        if not is_name:
            raise InvalidRequestError(
                f"{param}: must be 1 to {CUSTOM_ID_CHARS_MAX} printable ASCII characters "
                "without spaces",
                param=param,
            )
        first = _said(self.names[custom_id])
        raise InvalidRequestError(f"{param}: {custom_id!r} is already used by {first}", param=param)

    def add(self, prompt: Prompt, plan: int = 0, tokens_max: int | None = None) -> int:
        """Append one job; answers the bound on its input tokens, which may be known before.

        Raises:
            ValueError: a text of it holds a NUL, which no store takes.
        """
        encoded = _ENCODER.encode(prompt)
        if _BACKSLASH in encoded and _has_nul(encoded):
            raise ValueError("text must not hold NUL characters")
        own = None if prompt.params is msgspec.UNSET else prompt.params
        if tokens_max is None:
            tokens_max = input_tokens_max(prompt.messages, own)
        self.plans.append(plan)
        size = self.sizes.get(plan)
        if size is None:
            size = self.sizes[plan] = Size()
        size.add(tokens_max, None if own is None else own.max_tokens)
        self._block.append(encoded)
        self._block_bytes += len(encoded)
        if self._block_bytes >= _BLOCK_BYTES:
            self.flush()
        return tokens_max

    def prompts(self) -> Iterator[str]:
        """The prompts as JSON, in order: every job's, or none if they were taken early."""
        self.flush()
        self.file.seek(0)
        for size in self._blocks:
            yield from self.file.read(size).decode().split("\n")

    def flush(self) -> None:
        """Put aside what was added last."""
        if self._block:
            if self.early is None or not self.early(self._block):
                self._blocks.append(self.file.write(b"\n".join(self._block)))
            self._block.clear()
            self._block_bytes = 0

    def close(self) -> None:
        """Drop the file."""
        self.file.close()


def _said(where: Where) -> str:
    return f"line {where}" if isinstance(where, int) else where


def _has_nul(encoded: bytes) -> bool:
    r"""Whether JSON holds an escaped NUL: `\u0000` after an even number of backslashes."""
    return b"\\u0000" in encoded and _NUL.search(encoded) is not None
