"""Who may send: bearer tokens, compared in the same time whatever is wrong with them.

>>> tokens = Tokens(["s3cret", "other"])
>>> tokens.refusal(None), tokens.refusal("Bearer wrong"), tokens.refusal("Bearer other")
(401, 403, None)
>>> Tokens([]).refusal(None)                 # none is needed

Only digests are kept, so that neither a log nor a traceback can show a token.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from pathlib import Path

from schemas.errors import StreamgaugeError

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")


class Tokens:
    """The tokens that a server takes; without any it takes everybody."""

    def __init__(self, tokens: Iterable[str]) -> None:
        self._digests = [_digest(token) for token in tokens]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def refusal(self, authorization: str | None) -> int | None:
        """The status for who shows ``authorization``, the header of that name: 401, 403, or None, who may pass."""
        if not self._digests:
            return None
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return 401
        shown = _digest(token.strip())
        known = False
        for digest in self._digests:
            known |= hmac.compare_digest(digest, shown)
        return None if known else 403


def is_token(text: str) -> bool:
    """Whether ``text`` can be shown as a bearer token at all (RFC 6750)."""
    return _TOKEN.fullmatch(text) is not None


def read_tokens(path: Path) -> list[str]:
    """The tokens of a file, one a line.

    Raises:
        StreamgaugeError: it cannot be read, holds none, or a line is no token (which is named by its number only).
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except OSError as error:
        raise StreamgaugeError(f"cannot read the token file {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise StreamgaugeError(f"the token file {path} is no text: it must hold one token a line") from None
    tokens = {number: line.strip() for number, line in enumerate(lines, 1) if line.strip()}
    for number, token in tokens.items():
        if not is_token(token):
            raise StreamgaugeError(
                f"line {number} of the token file {path} is no token: letters, digits and - . _ ~ + / make one"
            )
    if not tokens:
        raise StreamgaugeError(f"the token file {path} holds no token; put one a line into it")
    return list(tokens.values())


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()
