"""What is sent over HTTP/2, and what may come of it: RFC 9113, and the published ways of smuggling through a gateway from 2 to 1.1.

Kettle 2021: J. Kettle, "HTTP/2: The Sequel is Always Worse".
"""

import dataclasses

from frames import (CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, INITIAL_WINDOW_SIZE, PING, PUSH, RST_STREAM, SETTINGS,
                    WINDOW_UPDATE, block, frame, setting)

PADDED, UNKNOWN = 8, 0x2A
EVIL = b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n"

# Outcomes of stream 1: a status; `reset`: RST_STREAM; `goaway`: the connection ends in an error, said or not.
MALFORMED = ("reset", "400", "goaway")
CONNECTION_ERROR = ("goaway",)


@dataclasses.dataclass
class Vector:
    """Frames, the outcomes of stream 1 that are allowed, and what may reach the target, written as in vectors/*.txt."""

    name: str
    kind: str
    source: str
    send: bytes
    answers: tuple
    reach: str = "none"
    fields: tuple = ()
    not_fields: tuple = ()
    replies: tuple = ()
    # Why it is known to fail; empty: it must not.
    gap: str = ""


def fields(*more, method=b"GET", path=b"/x", scheme=b"http", authority=b"a"):
    """The fields of a request; one that is None is left out."""
    pseudo = [(b":method", method), (b":scheme", scheme), (b":authority", authority), (b":path", path)]
    return [(name, value) for name, value in pseudo if value is not None] + list(more)


def head(*more, end=True, **changes):
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), 1, block(fields(*more, **changes)))


def raw_head(pairs, end=True):
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), 1, block(pairs))


def post(body, *more, **changes):
    return head(*more, method=b"POST", end=False, **changes) + frame(DATA, END_STREAM, 1, body)


def trailers(*more, end=True):
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), 1, block(more))


REQUESTS = [
    Vector("h2-get", "request", "RFC 9113 8.1", head(), ("200",), "GET /x", ((b"host", b"a"), (b"via", b"2.0 galton"))),
    Vector("h2-post", "request", "RFC 9113 8.1", post(b"hello"), ("200",), 'POST /x "hello"'),
    Vector("h2-post-with-length", "request", "RFC 9113 8.1.1", post(b"hello", (b"content-length", b"5")), ("200",), 'POST /x "hello"'),
    Vector("h2-get-with-body", "request", "RFC 9113 8.1: any request may have one",
           head(end=False) + frame(DATA, END_STREAM, 1, b"hello"), ("200", "400"), 'GET /x "hello" | none'),
    Vector("h2-padded", "request", "RFC 9113 6.1",
           head(method=b"POST", end=False) + frame(DATA, END_STREAM | PADDED, 1, b"\3hello\0\0\0"), ("200",), 'POST /x "hello"'),
    Vector("h2-empty-data-ends", "request", "RFC 9113 6.1", post(b""), ("200",), "POST /x"),
    Vector("h2-trailers", "request", "RFC 9113 8.1",
           head(method=b"POST", end=False) + frame(DATA, 0, 1, b"hello") + trailers((b"x-sum", b"7")), ("200",), 'POST /x "hello"'),
    Vector("h2-continuation", "request", "RFC 9113 6.10",
           frame(HEADERS, END_STREAM, 1, block(fields())) + frame(CONTINUATION, END_HEADERS, 1, block([(b"x-a", b"b")])),
           ("200",), "GET /x", ((b"x-a", b"b"),)),
    Vector("h2-cookies-are-one", "request", "RFC 9113 8.2.3: MUST be concatenated for HTTP/1.1",
           head((b"cookie", b"a=1"), (b"cookie", b"b=2")), ("200",), "GET /x", ((b"cookie", b"a=1; b=2"),)),
    Vector("h2-te-trailers", "request", "RFC 9113 8.2.2: the only value, and of this hop", head((b"te", b"trailers")), ("200",), "GET /x"),
    Vector("h2-host-without-authority", "request", "RFC 9113 8.3.1", head((b"host", b"b"), authority=None), ("200",), "GET /x",
           ((b"host", b"b"),)),
    Vector("h2-options-asterisk", "request", "RFC 9113 8.3.1", head(method=b"OPTIONS", path=b"*"), ("200",), "OPTIONS *"),
    Vector("h2-unknown-frame", "frames", "RFC 9113 4.1: MUST be ignored", frame(UNKNOWN, 0, 0, b"x") + head(), ("200",), "GET /x"),
    Vector("h2-early-hints", "1xx", "RFC 9110 15.2: MUST be forwarded", head(), ("103 200",), "GET /x",
           replies=([b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"],),
           gap="the HTTP library's server sends no interim response"),
    Vector("h2-answer-of-this-hop", "answers", "RFC 9113 8.2.2: no fields of a connection", head(), ("200",), "GET /x",
           replies=([b"HTTP/1.1 200 OK\r\nconnection: x-foo\r\nkeep-alive: 5\r\nx-foo: 1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"],)),
    Vector("h2-answer-breaks-off", "answers", "RFC 9113 8.1: not to be taken for whole", head(), ("200 reset", "502", "reset"), "GET /x",
           replies=([b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello", "close"],)),
]

# A field, or a pseudo-field, that must not be: the whole request is malformed (RFC 9113, 8.1.1) and nothing of it reaches the target.
BAD_FIELDS = [
    ("h2-transfer-encoding", "H2.TE", "RFC 9113 8.2.2; Kettle 2021", post(b"0\r\n\r\n" + EVIL, (b"transfer-encoding", b"chunked"))),
    ("h2-connection", "fields", "RFC 9113 8.2.2", head((b"connection", b"close"))),
    ("h2-keep-alive", "fields", "RFC 9113 8.2.2", head((b"keep-alive", b"timeout=5"))),
    ("h2-proxy-connection", "fields", "RFC 9113 8.2.2", head((b"proxy-connection", b"close"))),
    ("h2-upgrade", "fields", "RFC 9113 8.2.2", head((b"upgrade", b"websocket"))),
    ("h2-te-gzip", "fields", "RFC 9113 8.2.2", head((b"te", b"gzip"))),
    ("h2-upper-case-name", "fields", "RFC 9113 8.2.1", head((b"X-Foo", b"1"))),
    ("h2-name-with-space", "fields", "RFC 9113 8.2.1", head((b"x foo", b"1"))),
    ("h2-name-with-colon", "fields", "RFC 9113 8.2.1; Kettle 2021", head((b"transfer-encoding: chunked\r\nx", b"1"))),
    ("h2-name-empty", "fields", "RFC 9113 8.2.1", head((b"", b"1"))),
    ("h2-value-with-crlf", "injection", "RFC 9113 8.2.1; Kettle 2021", head((b"x-foo", b"1\r\ntransfer-encoding: chunked"))),
    ("h2-value-with-lf", "injection", "RFC 9113 8.2.1", head((b"x-foo", b"1\nx-bar: 2"))),
    ("h2-value-with-nul", "injection", "RFC 9113 8.2.1", head((b"x-foo", b"1\x002"))),
    ("h2-path-with-crlf", "injection", "RFC 9113 8.3.1; Kettle 2021", head(path=b"/x HTTP/1.1\r\nHost: a\r\n\r\n" + EVIL)),
    ("h2-path-with-space", "injection", "RFC 9113 8.3.1", head(path=b"/x HTTP/1.1")),
    ("h2-path-without-slash", "pseudo", "RFC 9113 8.3.1", head(path=b"x")),
    ("h2-path-empty", "pseudo", "RFC 9113 8.3.1", head(path=b"")),
    ("h2-method-with-space", "injection", "RFC 9113 8.3.1; Kettle 2021", head(method=b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\nGET")),
    ("h2-authority-with-crlf", "injection", "RFC 9113 8.3.1; Kettle 2021", head(authority=b"a\r\nx-foo: 1")),
    ("h2-authority-with-userinfo", "pseudo", "RFC 9113 8.3.1: MUST NOT", head(authority=b"user@a")),
    ("h2-scheme-smuggles-a-url", "injection", "RFC 9113 8.3.1; Kettle 2021", head(scheme=b"http://evil/?")),
    ("h2-no-method", "pseudo", "RFC 9113 8.3.1", head(method=None)),
    ("h2-no-path", "pseudo", "RFC 9113 8.3.1", head(path=None)),
    ("h2-no-scheme", "pseudo", "RFC 9113 8.3.1", head(scheme=None)),
    ("h2-path-twice", "pseudo", "RFC 9113 8.3", raw_head(fields() + [(b":path", b"/y")])),
    ("h2-method-twice", "pseudo", "RFC 9113 8.3", raw_head([(b":method", b"POST")] + fields())),
    ("h2-pseudo-behind-field", "pseudo", "RFC 9113 8.3", raw_head([(b"x-foo", b"1")] + fields())),
    ("h2-pseudo-unknown", "pseudo", "RFC 9113 8.3", raw_head([(b":foo", b"1")] + fields())),
    ("h2-status-in-a-request", "pseudo", "RFC 9113 8.3", raw_head([(b":status", b"200")] + fields())),
    ("h2-length-with-no-body", "H2.CL", "RFC 9113 8.1.1", head((b"content-length", b"5"), method=b"POST")),
    ("h2-length-malformed", "H2.CL", "RFC 9110 8.6", post(b"hello", (b"content-length", b"+5"))),
]

# Here the head may be on its way before the fault is there; the request must never become whole.
BAD_BODIES = [
    ("h2-length-0-with-body", "H2.CL", "RFC 9113 8.1.1; Kettle 2021", post(EVIL, (b"content-length", b"0"))),
    ("h2-length-too-small", "H2.CL", "RFC 9113 8.1.1; Kettle 2021", post(b"abc" + EVIL, (b"content-length", b"3"))),
    ("h2-length-too-large", "H2.CL", "RFC 9113 8.1.1", post(b"hello", (b"content-length", b"10"))),
    ("h2-length-twice", "H2.CL", "RFC 9110 8.6", post(b"hello", (b"content-length", b"5"), (b"content-length", b"6"))),
    ("h2-trailers-without-end", "trailers", "RFC 9113 8.1",
     head(method=b"POST", end=False) + frame(DATA, 0, 1, b"hello") + trailers((b"x", b"1"), end=False)),
]

# A fault of the connection (RFC 9113, 5.4.1).
BAD_FRAMES = [
    ("h2-data-on-stream-0", "RFC 9113 6.1", frame(DATA, 0, 0, b"x")),
    ("h2-headers-on-stream-0", "RFC 9113 6.2", frame(HEADERS, END_HEADERS | END_STREAM, 0, block(fields()))),
    ("h2-headers-on-even-stream", "RFC 9113 5.1.1", frame(HEADERS, END_HEADERS | END_STREAM, 2, block(fields()))),
    ("h2-data-on-idle-stream", "RFC 9113 5.1", frame(DATA, 0, 1, b"x")),
    ("h2-reset-on-idle-stream", "RFC 9113 6.4", frame(RST_STREAM, 0, 1, bytes(4))),
    ("h2-reset-of-3-bytes", "RFC 9113 6.4", head(end=False) + frame(RST_STREAM, 0, 1, bytes(3))),
    ("h2-window-update-0", "RFC 9113 6.9", frame(WINDOW_UPDATE, 0, 0, bytes(4))),
    ("h2-window-overflow", "RFC 9113 6.9.1", frame(WINDOW_UPDATE, 0, 0, (2**31 - 1).to_bytes(4, "big"))),
    ("h2-settings-of-5-bytes", "RFC 9113 6.5", frame(SETTINGS, 0, 0, bytes(5))),
    ("h2-settings-on-a-stream", "RFC 9113 6.5", frame(SETTINGS, 0, 1)),
    ("h2-settings-ack-with-payload", "RFC 9113 6.5", frame(SETTINGS, 1, 0, bytes(6))),
    ("h2-settings-window-too-large", "RFC 9113 6.5.2", frame(SETTINGS, 0, 0, setting(INITIAL_WINDOW_SIZE, 2**31))),
    ("h2-settings-frame-size-too-small", "RFC 9113 6.5.2", frame(SETTINGS, 0, 0, setting(5, 100))),
    ("h2-ping-of-7-bytes", "RFC 9113 6.7", frame(PING, 0, 0, bytes(7))),
    ("h2-ping-on-a-stream", "RFC 9113 6.7", frame(PING, 0, 1, bytes(8))),
    ("h2-push-by-a-client", "RFC 9113 8.4", frame(PUSH, END_HEADERS, 1, bytes(4))),
    ("h2-goaway-on-a-stream", "RFC 9113 6.8", frame(GOAWAY, 0, 1, bytes(8))),
    ("h2-continuation-alone", "RFC 9113 6.10", frame(CONTINUATION, END_HEADERS, 1, block(fields()))),
    ("h2-head-interrupted", "RFC 9113 6.10", frame(HEADERS, END_STREAM, 1, block(fields())) + frame(PING, 0, 0, bytes(8))),
    ("h2-frame-too-large", "RFC 9113 4.2", head(end=False) + frame(DATA, END_STREAM, 1, bytes((1 << 24) - 1))),
    ("h2-padding-too-long", "RFC 9113 6.1", head(end=False) + frame(DATA, PADDED, 1, b"\x09hello")),
    ("h2-hpack-index-0", "RFC 7541 6.1", frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x80")),
    ("h2-hpack-index-too-large", "RFC 7541 2.3.3", frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\xff\xff\xff\x7f")),
]

OTHERS = [
    Vector("h2-pseudo-in-trailers", "trailers", "RFC 9113 8.1",
           head(method=b"POST", end=False) + frame(DATA, 0, 1, b"hello") + trailers((b":path", b"/evil")), MALFORMED,
           "none | POST /x incomplete", gap="the HTTP library drops the field and takes the request"),
    Vector("h2-host-against-authority", "pseudo", "RFC 9113 8.3.1: malformed, or the authority counts",
           head((b"host", b"b")), ("200", *MALFORMED), "GET /x | none", ((b"host", b"a"),)),
    Vector("h2-no-authority-and-no-host", "pseudo", "RFC 9113 8.3.1", head(authority=None), ("200", *MALFORMED), "GET /x | none"),
    Vector("h2-value-with-spaces-around", "fields", "RFC 9113 8.2.1: malformed; RFC 9110 5.5: no part of the value",
           head((b"x-foo", b" 1 ")), ("200", *MALFORMED), "GET /x | none", ((b"x-foo", b"1"),)),
    Vector("h2-connect", "methods", "RFC 9113 8.5: this proxy makes no tunnels",
           raw_head([(b":method", b"CONNECT"), (b":authority", b"a:80")], end=False), ("405", "501", *MALFORMED)),
    Vector("h2-connect-extended", "methods", "RFC 8441 4: not offered",
           raw_head([(b":method", b"CONNECT"), (b":protocol", b"websocket"), *fields()[1:]], end=False), ("405", "501", *MALFORMED)),
    Vector("h2-trailer-of-framing", "trailers", "RFC 9110 6.5.1",
           head(method=b"POST", end=False) + frame(DATA, 0, 1, b"hello") + trailers((b"content-length", b"50")), ("200", *MALFORMED),
           'POST /x "hello" | POST /x incomplete | none'),
]


def load():
    """All of them."""
    malformed = [Vector(name, kind, source, send, MALFORMED) for name, kind, source, send in BAD_FIELDS]
    broken = [Vector(name, kind, source, send, MALFORMED, "none | POST /x incomplete") for name, kind, source, send in BAD_BODIES]
    frames = [Vector(name, "frames", source, send, CONNECTION_ERROR, "none | GET /x incomplete") for name, source, send in BAD_FRAMES]
    return REQUESTS + malformed + broken + OTHERS + frames
