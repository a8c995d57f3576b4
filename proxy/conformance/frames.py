"""Frames of HTTP/2 (RFC 9113), written by hand so that they may be wrong."""

import socket
import struct
import time

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS, ACK = 1, 4, 1
INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS = 4, 3
CANCEL = 8
ANSWER_S = 5


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def block(fields):
    """A header block without any state in the other side's table: literals without indexing, no Huffman codes (RFC 7541, 6.2.2)."""
    literal = lambda text: hpack.hpack.encode_integer(len(text), 7) + text
    return b"".join(b"\0" + bytes(literal(name)) + bytes(literal(value)) for name, value in fields)


def head(path=b"/ok", method=b"GET", more=()):
    """The header block of a request."""
    return block([(b":method", method), (b":scheme", b"http"), (b":authority", b"a"), (b":path", path), *more])


def request(stream, path=b"/ok", end=True):
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, head(path))


def setting(key, value):
    return struct.pack(">HI", key, value)


class Connection:
    """One connection of a client that may read or not."""

    def __init__(self, addr, settings=b""):
        self.socket = socket.create_connection(addr, timeout=ANSWER_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer, self.closed, self.decoder = b"", False, hpack.Decoder()
        self.socket.sendall(PREFACE + frame(SETTINGS, payload=settings))
        kind, flags, _, _ = self.read_frame() or (None, 0, 0, b"")
        if kind != SETTINGS or flags & ACK:
            raise AssertionError(f"no HTTP/2 here: the answer to the preface is {self.buffer[:60]!r}")
        self.socket.sendall(frame(SETTINGS, ACK))

    def send(self, data, patience_s=ANSWER_S):
        """How many bytes the other side took: all, or those before it closed or stopped reading."""
        self.socket.settimeout(patience_s)
        taken, view = 0, memoryview(data)
        try:
            while taken < len(data):
                taken += self.socket.send(view[taken:taken + 65536])
        except TimeoutError:
            pass
        except OSError:
            self.closed = True
        return taken

    def read_frame(self, patience_s=ANSWER_S):
        """The next frame: kind, flags, stream, payload. None at the end of the connection or of patience."""
        deadline = time.monotonic() + patience_s
        while True:
            if len(self.buffer) >= 9:
                length = int.from_bytes(self.buffer[:3], "big")
                if length > 1 << 14:
                    return None
                if len(self.buffer) >= 9 + length:
                    kind, flags, stream = struct.unpack(">BBI", self.buffer[3:9])
                    payload, self.buffer = self.buffer[9:9 + length], self.buffer[9 + length:]
                    return kind, flags, stream & 0x7FFFFFFF, payload
            try:
                self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
                data = self.socket.recv(65536)
            except TimeoutError:
                return None
            except OSError:
                data = b""
            if not data:
                self.closed = True
                return None
            self.buffer += data

    def frames(self, until):
        """Frames up to the one of which that holds, or the end."""
        while found := self.read_frame():
            yield found
            if until(*found):
                return

    def goodbye(self):
        """The error code of a GOAWAY, -1 if it closed without one, None if it has not said that it ends."""
        for kind, _, _, payload in self.frames(lambda kind, *_: kind == GOAWAY):
            if kind == GOAWAY:
                return int.from_bytes(payload[4:8], "big")
        return -1 if self.closed else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
