"""How much a model takes is known of most, and unknown is not guessed."""

import pytest

from app.billing.windows import context_tokens


@pytest.mark.parametrize(
    ("provider", "model", "tokens"),
    [
        ("openai", "gpt-4", 8_192),
        ("anthropic", "claude-haiku-4-5-20251001", 200_000),
        ("google", "gemini-2.5-pro", 1_048_576),  # the list has it without one
        ("groq", "llama-3.3-70b-versatile", 131_072),
        ("zai", "GLM-4.6", 202_752),
        ("openai", "gpt-nobody-heard-of", None),
        ("custom:local", "gpt-4", None),
        ("simulated", "gold", None),
    ],
)
def test_a_window_is_the_lists_or_our_own_tables(provider: str, model: str, tokens: int | None):
    assert context_tokens(provider, model) == tokens
