"""How much a model reads and writes at most: its context window, in tokens, where it is known.

Most are in the bundled list of `genai-prices`; of well-known models that it has without one, a
table here says so. A custom server's models are not known.
"""

from functools import lru_cache

from app.billing.catalogue import find_model

#: By the beginning of a name, from the vendors' own lists of models (ai.google.dev, console.groq.com,
#: docs.cohere.com, docs.z.ai, docs.together.ai, docs.mistral.ai).
_LISTED_WITHOUT = {
    "cohere": {"command-a": 256_000, "command-r": 128_000},
    "google": {
        "gemini-2.5-pro": 1_048_576,
        "gemini-3-pro-preview": 1_048_576,
        "gemini-3.1-pro-preview": 1_048_576,
        "gemma-2-": 8_192,
    },
    "groq": {
        "gemma2-9b-it": 8_192,
        "llama-3.1-8b-instant": 131_072,
        "llama-3.3-70b-versatile": 131_072,
        "llama3-70b-8192": 8_192,
        "llama3-8b-8192": 8_192,
        "meta-llama/llama-4-scout-17b-16e-instruct": 131_072,
        "mixtral-8x7b-32768": 32_768,
    },
    "mistral": {"mistral-nemo": 131_072, "mistral-small-latest": 131_072},
    "together": {
        "meta-llama/Llama-3.3-70B-Instruct-Turbo": 131_072,
        "mistralai/Mixtral-8x7B-Instruct-v0.1": 32_768,
    },
    "zai": {"glm-4.5": 131_072, "glm-4.6": 202_752, "glm-4.7": 202_752},
}


@lru_cache(maxsize=4096)
def context_tokens(provider: str, model: str) -> int | None:
    """The most tokens that a request to the model and its answer can have together, or None."""
    found = find_model(provider, model)
    if found is not None and found.context_window:
        return found.context_window
    table = _LISTED_WITHOUT.get(provider, {})
    return next((table[name] for name in table if model.lower().startswith(name.lower())), None)
