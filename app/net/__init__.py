"""The network as untrusted input: which addresses may be reached, and how answers are read.

Every URL that an account sets is reached through `GuardedSender` alone.
"""

from app.net.addresses import Trusted, parse_trusted
from app.net.body import RESPONSE_BYTES_MAX, CappedBody
from app.net.guard import GuardedResolver, Lookup, Target, check_url, target_of
from app.net.sender import GuardedSender

__all__ = [
    "RESPONSE_BYTES_MAX",
    "CappedBody",
    "GuardedResolver",
    "GuardedSender",
    "Lookup",
    "Target",
    "Trusted",
    "check_url",
    "parse_trusted",
    "target_of",
]
