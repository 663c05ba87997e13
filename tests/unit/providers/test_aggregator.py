"""Where a vendor's model is with the aggregator, by its name alone."""

import pytest

from app.billing.pricing import price_of
from app.domain.prompt import ModelRef
from app.providers import registry


@pytest.mark.parametrize(
    ("provider", "model", "there"),
    [
        ("anthropic", "claude-sonnet-4-6", "anthropic/claude-sonnet-4.6"),
        ("anthropic", "claude-sonnet-4-5-20250929", "anthropic/claude-sonnet-4.5"),
        ("anthropic", "claude-opus-5", "anthropic/claude-opus-5"),
        ("anthropic", "claude-opus-4-20250514", "anthropic/claude-opus-4"),
        ("anthropic", "claude-sonnet-4-0", "anthropic/claude-sonnet-4"),
        ("anthropic", "claude-3-5-sonnet-20241022", "anthropic/claude-3.5-sonnet"),
        ("openai", "gpt-5.2", "openai/gpt-5.2"),
        ("openai", "gpt-4o-2024-05-13", "openai/gpt-4o-2024-05-13"),
        ("google", "gemini-2.5-pro", "google/gemini-2.5-pro"),
        ("google", "models/gemini-3.5-flash", "google/gemini-3.5-flash"),
        ("xai", "grok-4.7", "x-ai/grok-4.7"),
        ("deepseek", "deepseek-v4-pro", "deepseek/deepseek-v4-pro"),
        ("mistral", "mistral-large-2512", "mistralai/mistral-large-2512"),
        ("moonshot", "kimi-k2-0905-preview", "moonshotai/kimi-k2-0905"),
        ("moonshot", "kimi-k3", "moonshotai/kimi-k3"),
        ("zai", "GLM-5.3", "z-ai/glm-5.3"),
        ("minimax", "MiniMax-M2.7", "minimax/minimax-m2.7"),
        ("qwen", "qwen3-max", "qwen/qwen3-max"),
        ("arcee", "trinity-large-thinking", "arcee-ai/trinity-large-thinking"),
        ("perplexity", "sonar-pro", "perplexity/sonar-pro"),
        ("cohere", "command-r-plus-08-2024", "cohere/command-r-plus-08-2024"),
    ],
)
def test_a_vendors_model_has_a_name_there_that_has_a_price(
    provider: str, model: str, there: str
) -> None:
    assert registry.aggregator_for(provider, model) == ModelRef("openrouter", there)
    assert price_of("openrouter", there) is not None


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("mistral", "mistral-large-latest"),  # it moves, and there it is another
        ("deepseek", "deepseek-chat"),  # the same
        ("openai", "ft:gpt-4o:acme::id"),  # an account's own
        ("google", "tunedModels/mine"),
        ("arcee", "deepseek/deepseek-v4-pro"),  # served for others
        ("groq", "openai/gpt-oss-20b"),  # another host is another contestant
        ("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo"),
        ("custom:local", "m"),
        ("simulated", "gold"),
        ("openrouter", "openai/gpt-5.2"),
    ],
)
def test_a_model_that_would_be_another_has_none(provider: str, model: str) -> None:
    assert registry.aggregator_for(provider, model) is None
