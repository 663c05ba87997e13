"""The lines of an input: read, checked and spooled before the store is touched.

A batch is accepted whole or not at all, and the store's write lock is not held while a
50,000-line file is read.
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from app.domain.errors import InvalidRequestError, TooLargeError
from app.domain.prompt import Message, Prompt, check_turns, is_plain
from app.domain.spec import JobLine
from app.pipeline.early_texts import EarlyTexts
from app.pipeline.spool import Spool
from app.pipeline.templates import MessagesTemplate
from app.vault.spool import SealedSpool

JOBS_MAX = 1_000_000
LINE_BYTES_MAX = 16 * 1024 * 1024
_PATH = re.compile(r" - at `\$(.*)`$")
#: Refuses a prompt whose images some model would not take; `param` is relative to the prompt.
CheckPrompt = Callable[[Sequence[Message]], None]
#: Refuses a prompt that is too long, given what to call its line.
CheckLength = Callable[[list[Message], str], None]
#: How many of a line's three ways to say what it asks are not used.
_ALL_BUT_ONE = 2
_DECODER = msgspec.json.Decoder(JobLine)


class RawLine(msgspec.Struct, frozen=True, gc=False):
    """One line as it came, and what to call it in an error: `jobs[3]`, or `line 4`."""

    where: str
    body: bytes | msgspec.Raw


@dataclass(frozen=True, slots=True)
class Rules:
    """What lines are held to, beside their own shape.

    Attributes:
        check_prompt: what else to ask of prompts with images. Text is taken by every model.
        template: what `vars` are put into.
        tokens_max: prompts that cannot have more tokens are spared `check_length`.
        check_length: refuses a prompt that is too long for some model, told where it is.
        sealed: what goes to the disk until the store has it is sealed there.
    """

    check_prompt: CheckPrompt | None = None
    template: MessagesTemplate | None = None
    tokens_max: int = sys.maxsize
    check_length: CheckLength | None = None
    sealed: bool = False


def spool_lines(
    lines: Iterable[RawLine], rules: Rules = Rules(), early: EarlyTexts | None = None
) -> Spool:
    """Check every line.

    Args:
        lines: as they came.
        rules: what they are held to.
        early: what takes prompts before the last is read, unless they are sealed.

    Raises:
        InvalidRequestError: naming the first line and field at fault.
        TooLargeError: there are too many lines, or one is too long.
    """
    spool = spool_for(early, is_sealed=rules.sealed)
    try:
        for line in lines:
            _add(spool, line, rules)
    except BaseException:
        spool.close()
        raise
    if spool.count == 0:
        spool.close()
        raise InvalidRequestError("jobs: there is no job in the input", param="jobs")
    return spool


def spool_for(early: EarlyTexts | None, *, is_sealed: bool) -> Spool:
    """An empty spool, sealed where it touches the disk if that is asked for."""
    if is_sealed:
        return Spool(SealedSpool())
    return Spool(early=None if early is None else early.take)


def _add(spool: Spool, line: RawLine, rules: Rules) -> None:
    if spool.count >= JOBS_MAX:
        raise TooLargeError(f"{line.where}: a batch has at most {JOBS_MAX:,} jobs", param="jobs")
    if len(line.body) > LINE_BYTES_MAX:
        raise TooLargeError(
            f"{line.where}: a line has at most {LINE_BYTES_MAX:,} bytes", param=line.where
        )
    job = decode_line(line)
    custom_id = job.custom_id if job.custom_id is not None else f"job-{spool.count + 1}"
    spool.name(custom_id, line.where)
    prompt = _prompt_of(job, line.where, rules.template)
    if rules.check_prompt is not None:
        _check_images(prompt, rules.check_prompt, line.where)
    try:
        tokens_max = spool.add(prompt)
    except ValueError as error:
        raise InvalidRequestError(f"{line.where}: {error}", param=line.where) from None
    if tokens_max > rules.tokens_max and rules.check_length is not None:
        rules.check_length(prompt.messages, line.where)


def decode_line(line: RawLine) -> JobLine:
    """Read one line.

    Raises:
        InvalidRequestError: it is not JSON, or not a job.
    """
    try:
        return _DECODER.decode(line.body)
    except msgspec.ValidationError as error:
        text = str(error)
        match = _PATH.search(text)
        param = line.where + (match.group(1) if match else "")
        reason = text[: match.start()] if match else text
        raise InvalidRequestError(f"{param}: {_lower(reason)}", param=param) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else _lower(str(error))
        raise InvalidRequestError(f"{line.where}: {reason}", param=line.where) from None
    except RecursionError:
        raise InvalidRequestError(
            f"{line.where}: the JSON is nested too deeply", param=line.where
        ) from None


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:] if not text.startswith("JSON") else text


def _prompt_of(job: JobLine, where: str, template: MessagesTemplate | None) -> Prompt:
    if (job.messages, job.prompt, job.vars).count(None) != _ALL_BUT_ONE:
        raise InvalidRequestError(
            f"{where}: needs either messages or prompt"
            + ("" if template is None else ", or vars for the template"),
            param=where,
        )
    if job.vars is not None:
        if template is None:
            param = f"{where}.vars"
            raise InvalidRequestError(f"{param}: the batch has no template", param=param)
        return Prompt(template.render(job.vars, where), job.reference)
    if job.prompt is not None:
        return Prompt([Message("user", job.prompt)], job.reference)
    messages = job.messages or []
    try:
        check_turns(messages)
    except InvalidRequestError as error:
        param = f"{where}.messages{error.param}"
        raise InvalidRequestError(f"{param}: {error.message}", param=param) from None
    return Prompt(messages, job.reference)


def _check_images(prompt: Prompt, check_prompt: CheckPrompt, where: str) -> None:
    if all(map(is_plain, prompt.messages)):
        return
    try:
        check_prompt(prompt.messages)
    except InvalidRequestError as error:
        param = f"{where}.{error.param}"
        raise InvalidRequestError(f"{param}: {error.message}", param=param) from None


def jsonl_lines(chunks: Iterable[bytes]) -> Iterator[RawLine]:
    """Split JSONL, on line feeds alone; blank lines are skipped and still counted.

    Raises:
        TooLargeError: a line does not end within the limit.
    """
    for number, line in numbered_lines(chunks):
        yield RawLine(f"line {number}", line)


def numbered_lines(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """The same, each with its number.

    Raises:
        TooLargeError: a line does not end within the limit.
    """
    number, rest = 1, b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for one in enumerate(lines, number):
            if one[1].strip():
                yield one
        number += len(lines)
        if len(rest) > LINE_BYTES_MAX:
            raise TooLargeError(
                f"line {number}: a line has at most {LINE_BYTES_MAX:,} bytes",
                param=f"line {number}",
            )
    if rest.strip():
        yield number, rest
