"""When a delivery is tried again."""

import zlib

_MINUTE_S = 60
_HOUR_S = 3600
#: The wait before each attempt, counted from the one before it: three days in all.
DELAYS_S = (
    0,
    5,
    5 * _MINUTE_S,
    30 * _MINUTE_S,
    2 * _HOUR_S,
    5 * _HOUR_S,
    10 * _HOUR_S,
    14 * _HOUR_S,
    20 * _HOUR_S,
    24 * _HOUR_S,
)
ATTEMPTS_MAX = len(DELAYS_S)
RETRY_AFTER_MAX_S = 24 * _HOUR_S
#: Waits are longer by up to this part, so that deliveries that failed together spread out.
JITTER = 0.1


def next_delay_s(
    delivery_id: str, attempts: int, retry_after_s: float | None = None
) -> float | None:
    """Seconds to wait after so many attempts; None after the last.

    What the endpoint asks for is a floor. The jitter is the delivery's own, the same each time.
    """
    if attempts >= ATTEMPTS_MAX:
        return None
    floor_s = max(DELAYS_S[attempts], min(retry_after_s or 0.0, RETRY_AFTER_MAX_S))
    draw = zlib.crc32(f"{delivery_id}:{attempts}".encode()) / 2**32
    return floor_s * (1 + JITTER * draw)
