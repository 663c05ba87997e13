"""What a client submits: a batch's settings, and the lines of its input."""

from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from app.domain.checks import CheckKind
from app.domain.plan import BlendStrategy, MeshStrategy, Scoring
from app.domain.prompt import Messages, Text

MODELS_MAX = 64
REPEATS_MAX = 64
CUSTOM_ID_CHARS_MAX = 64

Name = Annotated[str, StringConstraints(max_length=200)]
ModelName = Annotated[str, StringConstraints(min_length=3, max_length=256)]


MetadataKey = Annotated[str, StringConstraints(min_length=1, max_length=64)]
MetadataValue = Annotated[str, StringConstraints(max_length=512)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class ModelSpec(_Body):
    """A model with parameters of its own."""

    model: ModelName
    params: dict[str, Any] = Field(default_factory=dict)
    label: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None


class CheckBody(_Body):
    """A check that needs no model; without a value, the job's reference answer is it."""

    kind: CheckKind
    value: Any = None
    name: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    ignore_case: bool = False
    tolerance: float = 0.0


class JudgeBody(_Body):
    """Who judges, and by what; checks alone need no judge."""

    judges: list[ModelName | ModelSpec] = Field(default_factory=list, max_length=32)
    criteria: list[Annotated[str, StringConstraints(min_length=1, max_length=200)]] = Field(
        default_factory=list, max_length=12
    )
    scoring: Scoring = "rubric"
    pairs: int | None = Field(default=None, ge=1, le=120)
    checks: list[CheckBody] = Field(default_factory=list, max_length=16)
    escalate_below: float | None = Field(default=None, gt=0, le=10)
    canary: bool = False
    allow_self: bool = False


class BlendBody(_Body):
    """How the answers become one. Without a synthesizer, the first model is it."""

    strategy: BlendStrategy = "consensus"
    synthesizer: ModelName | ModelSpec | None = None
    layers: int = Field(default=1, ge=1, le=3)
    samples: int = Field(default=3, ge=2, le=8)
    min_candidates: int | None = Field(default=None, ge=1, le=8)
    contribution: bool = False


class MeshBody(_Body):
    """Which models are tried, in which order, where one does not answer."""

    fallback: list[ModelName | ModelSpec] = Field(min_length=1, max_length=15)
    strategy: MeshStrategy = "rate-limit"


class WebhookBody(_Body):
    """Where to announce the batch. Without a secret, the account's own signs.

    Without event types, all that are not told on request only.
    """

    url: Annotated[str, StringConstraints(min_length=1, max_length=2048)]
    secret: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = Field(
        default=None, repr=False
    )
    event_types: list[Annotated[str, StringConstraints(max_length=100)]] | None = Field(
        default=None, min_length=1, max_length=32
    )


class BatchBody(_Body):
    """Everything about a batch but its jobs."""

    name: Name | None = None
    mode: Literal["chat", "compare", "judge", "blend", "mesh"]
    models: list[ModelName | ModelSpec] = Field(min_length=1, max_length=MODELS_MAX)
    params: dict[str, Any] = Field(default_factory=dict)
    repeats: int = Field(default=1, ge=1, le=REPEATS_MAX)
    judge: JudgeBody | None = None
    blend: BlendBody | None = None
    mesh: MeshBody | None = None
    template: dict[str, Any] | None = None
    input_file_id: str | None = None
    budget_usd: Decimal | None = Field(default=None, gt=0, le=1_000_000)
    unpriced: Literal["refuse", "allow"] = "refuse"
    priority: int = Field(default=5, ge=0, le=9)
    not_before: AwareDatetime | None = None
    deadline: str | None = "24h"
    sample: int | None = Field(default=None, ge=1, le=1_000_000)
    stop_if_failed_percent: int | None = Field(default=None, ge=1, le=99)
    cache: bool = False
    retention: Literal["keep", "none"] | None = None
    at_most_once: bool = False
    webhook: WebhookBody | None = None
    metadata: dict[MetadataKey, MetadataValue] = Field(default_factory=dict, max_length=16)


class JobLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the input: `messages`, `prompt` for a single user message, or `vars`.

    `vars` are the variables of the batch's template.
    """

    custom_id: str | None = None
    messages: Messages | None = None
    prompt: Text | None = None
    reference: Text | None = None
    vars: dict[str, Any] | None = None
