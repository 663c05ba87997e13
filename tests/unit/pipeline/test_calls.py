"""The bound on an answer's tokens that is really sent."""

import pytest

from app.domain.plan import Plan
from app.domain.prompt import Params
from app.domain.states import Billed
from app.models import Batch, Lane
from app.pipeline.calls import BatchContext


@pytest.mark.parametrize(
    ("provider", "billed", "cap_nanos", "params", "bound"),
    [
        ("openai", Billed.BYOK, None, Params(), None),
        ("openai", Billed.BYOK, None, Params(max_tokens=9), 9),
        ("openai", Billed.BYOK, 1000, Params(), 4096),
        ("openai", Billed.CREDITS, None, Params(), 4096),
        ("anthropic", Billed.BYOK, None, Params(), 4096),
        ("anthropic", Billed.BYOK, None, Params(max_tokens=9), 9),
        ("custom:local", Billed.BYOK, None, Params(), None),
    ],
)
def test_one_is_sent_where_money_or_the_vendor_needs_one(
    provider: str, billed: Billed, cap_nanos: int | None, params: Params, bound: int | None
) -> None:
    batch, lane = Batch(cap_nanos=cap_nanos), Lane(provider=provider, billed=billed)
    context = BatchContext(batch, Plan("chat", ()), {}, 4096)
    assert context.bound_of(params, lane) == bound
