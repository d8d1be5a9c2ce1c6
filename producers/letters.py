"""Dead letters as producers write them, and the way back in through the parser that rejected them.

`dlq replay` does it so:

    again = parse_letter(read, value, headers)
    again.keys, again.values                         # it is good now: one record for the input topic
    again.rejected                                   # or it is a new letter, with today's reason
"""

from __future__ import annotations

from collections.abc import Mapping

from producers.lines import Huge, Lines
from producers.records import Format, Parsed, Rejected, too_large
from schemas.wire import LETTER_FILE, LETTER_FORM, LETTER_LENGTH, LETTER_LINE, LETTER_MESSAGE, LETTER_OP, LETTER_SHA256

Headers = list[tuple[str, str | bytes | None]]
"""As confluent-kafka wants them."""


def letter_headers(file: bytes, rejected: Rejected, op: str = "", form: str = "") -> Headers:
    """The headers of the dead letter of ``rejected``, a record of the source called ``file``.

    Args:
        file: where it is from.
        rejected: the record.
        op: what it was to do, where rows are commands.
        form: what it is, where it is not in the form of the stream's files.
    """
    headers: Headers = [
        (LETTER_MESSAGE, rejected.reason.encode(errors="backslashreplace")),
        (LETTER_FILE, file),
        (LETTER_LINE, b"%d" % rejected.line),
    ]
    if op:
        headers.append((LETTER_OP, op.encode()))
    if form:
        headers.append((LETTER_FORM, form.encode()))
    if rejected.length is not None and rejected.sha256 is not None:
        headers += [(LETTER_LENGTH, b"%d" % rejected.length), (LETTER_SHA256, rejected.sha256.encode())]
    return headers


def parse_letter(read: Format, value: bytes, headers: Mapping[str, bytes]) -> Parsed:
    """Parse what a producer rejected as that producer would today.

    Args:
        read: the format of the letter's stream.
        value: the letter's value, the original bytes.
        headers: the letter's, by name; file and line tell what the bytes alone do not.

    Returns:
        One record, or one rejection: of a value that is blank, that was cut, or that is still bad.
    """
    file = headers.get(LETTER_FILE, b"").decode(errors="surrogateescape")
    line = int(headers.get(LETTER_LINE, b"1"))
    if LETTER_LENGTH in headers:
        huge = Huge(line, value, int(headers[LETTER_LENGTH]), headers[LETTER_SHA256].decode())
        return Parsed([], [], [], [too_large(huge)])
    return read(file, line=line).parse(Lines([value], [line], [], line + 1))
