"""What an API key looks like: `ovn_`, 30 random characters, and a checksum of 6.

The prefix is for scanners that look for leaked secrets. The checksum tells a mistyped key from
a wrong one without asking the store. 178 random bits need no slow hash.
"""

import hashlib
import re
import secrets
import string
import zlib

from app.domain.secret import Secret

PREFIX = "ovn_"
RANDOM_CHARS = 30
CHECKSUM_CHARS = 6
HINT_CHARS = 4
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_TOKEN = re.compile(
    rf"({PREFIX}[0-9A-Za-z]{{{RANDOM_CHARS}}})_([0-9A-Za-z]{{{CHECKSUM_CHARS}}})", re.ASCII
)


def new_token() -> Secret:
    """A new API key."""
    body = PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(RANDOM_CHARS))
    return Secret(f"{body}_{_checksum_of(body)}")


def is_well_formed(token: str) -> bool:
    """Whether it could be one of ours at all."""
    match = _TOKEN.fullmatch(token)
    return match is not None and _checksum_of(match[1]) == match[2]


def digest_of(token: str) -> str:
    """What of it is stored: its SHA-256."""
    return hashlib.sha256(token.encode()).hexdigest()


def _checksum_of(body: str) -> str:
    rest, digits = zlib.crc32(body.encode()), ""
    for _ in range(CHECKSUM_CHARS):
        rest, digit = divmod(rest, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
