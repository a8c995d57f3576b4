"""HTTP/1.1 as others read it: h11 says how many messages some bytes are, and a strict reader that nobody could read them otherwise.

h11 takes some of what RFC 9112 lets a recipient take (a bare LF, whitespace). What a proxy *sends* has no such leave: its requests must
be those of the grammar, or the next hop may count them differently.
"""

import dataclasses
import re

import h11

# A vector may bring heads of a megabyte; what the proxy lets through of them is its own limit.
MAX_HEAD = 4 << 20
REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/1\.1")
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*")
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})\r\n")


@dataclasses.dataclass
class Message:
    """One request or response, as far as it came."""

    # (method, target), or the status.
    start: object
    headers: list
    body: bytes = b""
    trailers: list = dataclasses.field(default_factory=list)
    complete: bool = False

    def values(self, name):
        return [value for key, value in self.headers if key == name]


class Requests:
    """What a target is sent on one connection."""

    def __init__(self):
        self.raw, self.messages, self.fault = b"", [], None
        self.h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)

    def feed(self, data):
        """Takes bytes; yields `head` and `end` of each request as they come. The next one is read once `answered`."""
        self.raw += data
        if self.fault is None:
            self.h11.receive_data(data)

    def events(self):
        while self.fault is None:
            try:
                event = self.h11.next_event()
            except h11.RemoteProtocolError as error:
                self.fault = f"h11: {error}"
                return
            if isinstance(event, h11.Request):
                self.messages.append(Message((event.method, event.target), list(event.headers)))
                yield "head"
            elif isinstance(event, h11.Data):
                self.messages[-1].body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                self.messages[-1].trailers, self.messages[-1].complete = list(event.headers), True
                yield "end"
                self.answered()
            else:
                return

    def answered(self):
        """h11 reads on once the answer is sent. The real one is raw bytes; this one is its stand-in."""
        if self.h11.our_state is h11.SEND_RESPONSE or self.h11.our_state is h11.IDLE:
            self.h11.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
            self.h11.send(h11.EndOfMessage())
        if self.h11.our_state is h11.DONE and self.h11.their_state is h11.DONE:
            self.h11.start_next_cycle()


class Responses:
    """What a client is sent on one connection, given the methods that it asked with."""

    def __init__(self, methods):
        self.raw, self.messages, self.interim, self.fault = b"", [], [], None
        self.methods, self.closed, self.h11 = list(methods), False, None
        # In their order, interim ones too.
        self.statuses = []
        self.begin()

    def begin(self):
        method = self.methods.pop(0) if self.methods else "GET"
        request = h11.Request(method=method, target="/", headers=[("host", "x")])
        if self.h11 is None:
            self.h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self.h11.send(request)
        self.h11.send(h11.EndOfMessage())

    def feed(self, data):
        """Bytes, or none at the end of the connection."""
        self.raw += data
        if not data:
            self.closed = True
        if self.fault:
            return
        try:
            self.h11.receive_data(data)
            self.read()
        except h11.RemoteProtocolError as error:
            # The end of the connection is no fault of grammar, between messages or within a body: that is then incomplete.
            between = not self.messages or self.messages[-1].complete
            if not self.closed or between and self.h11.trailing_data[0]:
                self.fault = f"h11: {error}"

    def read(self):
        while True:
            event = self.h11.next_event()
            if event is h11.NEED_DATA or isinstance(event, h11.ConnectionClosed):
                return
            if event is h11.PAUSED:
                if self.h11.trailing_data[0]:
                    self.fault = f"bytes after the last response: {self.h11.trailing_data[0][:80]!r}"
                return
            self.take(event)

    def take(self, event):
        if isinstance(event, h11.InformationalResponse):
            self.statuses.append(event.status_code)
            self.interim.append(Message(event.status_code, list(event.headers), complete=True))
        elif isinstance(event, h11.Response):
            self.statuses.append(event.status_code)
            self.messages.append(Message(event.status_code, list(event.headers)))
        elif isinstance(event, h11.Data):
            self.messages[-1].body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            self.messages[-1].trailers, self.messages[-1].complete = list(event.headers), True
            self.next_message()

    def next_message(self):
        if self.h11.our_state is h11.DONE and self.h11.their_state is h11.DONE:
            self.h11.start_next_cycle()
            self.begin()
        elif b"keep-alive" in self.messages[-1].values(b"connection"):
            # h11 knows no persistent connections of HTTP/1.0.
            rest, self.h11 = self.h11.trailing_data[0], None
            self.begin()
            if rest:
                self.h11.receive_data(rest)

    def complete(self):
        return sum(message.complete for message in self.messages)


def strict_fault(raw):
    """What a recipient without leniency finds wrong with a sequence of requests, and how many complete ones it counts."""
    count = 0
    while raw:
        head, found, rest = raw.partition(b"\r\n\r\n")
        if not found:
            return None, count
        start, *lines = head.split(b"\r\n")
        if not REQUEST_LINE.fullmatch(start):
            return f"request line {start[:80]!r}", count
        fields = [FIELD.fullmatch(line) for line in lines]
        if None in fields:
            return f"field {lines[fields.index(None)][:80]!r}", count
        values = lambda name: [field[2] for field in fields if field[1].lower() == name]
        length, coding = values(b"content-length"), values(b"transfer-encoding")
        if len(values(b"host")) != 1:
            return f"{len(values(b'host'))} Host fields", count
        if len(length) + len(coding) > 1:
            return f"Content-Length {length}, Transfer-Encoding {coding}", count
        if coding and coding[0].lower() != b"chunked" or length and not re.fullmatch(rb"\d{1,19}", length[0]):
            return f"Content-Length {length}, Transfer-Encoding {coding}", count
        if coding:
            rest, fault = strict_chunks(rest)
            if fault or rest is None:
                return fault, count
        elif length:
            if len(rest) < int(length[0]):
                return None, count
            rest = rest[int(length[0]):]
        raw, count = rest, count + 1
    return None, count


def strict_chunks(raw):
    """What is left behind a chunked body, None if it is not complete, and what is wrong with it."""
    while True:
        size = CHUNK.match(raw)
        if not size:
            return None, None if b"\r\n" not in raw else f"chunk {raw[:40]!r}"
        n, raw = int(size[1], 16), raw[size.end():]
        if n == 0:
            break
        if len(raw) < n + 2:
            return None, None
        if raw[n:n + 2] != b"\r\n":
            return None, f"end of a chunk {raw[n:n + 8]!r}"
        raw = raw[n + 2:]
    while not raw.startswith(b"\r\n"):
        line, found, rest = raw.partition(b"\r\n")
        if not found:
            return None, None
        if not FIELD.fullmatch(line):
            return None, f"trailer {line[:80]!r}"
        raw = rest
    return raw[2:], None
