"""Reads the vectors: sections of `key: value` lines; how they are written is told in docs/conformance.md."""

import dataclasses
import glob
import os
import re

# What a value in braces does instead of being sent.
STEPS = {"wait", "eof", "close", "reset"}
ESCAPES = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0", b"\\": b"\\"}
TOKEN = re.compile(rb"\\x([0-9a-f]{2})|\\([rnt0\\])|\{([^{}*]+)\*(\d+)\}|\{([a-z]+)\}|(.)", re.S)
KEYS = {"class", "source", "send", "methods", "answer", "reach", "with", "without", "no-trailer", "reply", "when", "body",
        "answer-with", "answer-without", "gap"}
RAW, MANY = {"send", "reply"}, {"with", "without", "no-trailer", "answer-with", "answer-without", "reply"}


@dataclasses.dataclass
class Vector:
    """What is sent, and what may come of it."""

    name: str
    kind: str
    source: str
    # Bytes, and between them the names of steps.
    send: list
    # Of the requests that are answered, as far as it matters for where an answer ends.
    methods: list
    # Alternatives, each a list of statuses and at last perhaps `open` or `close`.
    answers: list
    # Alternatives, each a list of (method, target, body); a body may be a length, or None for a request that never ends.
    reaches: list
    fields: list
    not_fields: list
    not_trailers: list
    # What the target answers to each request, as `send`; the last one is for all further ones.
    replies: list
    # `head`: the target answers before it has read the body.
    when: str
    body: bytes
    answer_fields: list
    answer_not_fields: list
    # Why it is known to fail; empty: it must not.
    gap: str


def script(text):
    """Bytes and steps."""
    parts = [b""]
    for hexadecimal, escape, repeated, count, step, plain in TOKEN.findall(text):
        if step:
            if step.decode() not in STEPS:
                raise ValueError(f"no such step: {step.decode()}")
            parts += [step.decode(), b""]
        elif hexadecimal:
            parts[-1] += bytes.fromhex(hexadecimal.decode())
        elif escape:
            parts[-1] += ESCAPES[escape]
        elif repeated:
            parts[-1] += script(repeated)[0] * int(count)
        else:
            parts[-1] += plain
    return [part for part in parts if part]


def raw_block(lines):
    """Each line with the CRLF that it stands for; one that ends in a single backslash stands for itself."""
    text = b""
    for line in lines:
        if line.endswith("\\") and not line.endswith("\\\\"):
            text += line[:-1].encode("latin-1")
        else:
            text += line.encode("latin-1") + b"\\r\\n"
    return script(text)


def literal(text):
    (value,) = script(text.encode("latin-1")) or [b""]
    return value


def reach(text):
    """`METHOD target`, and a body in quotes, as `#bytes`, or `incomplete`; several with commas."""
    if text == "none":
        return []
    requests = []
    for one in text.split(" , "):
        method, target, *body = one.split(" ", 2)
        body = body[0] if body else '""'
        if body == "incomplete":
            body = None
        elif body.startswith("#"):
            body = int(body[1:])
        else:
            body = literal(body[1:-1])
        requests.append((literal(method), literal(target), body))
    return requests


def field(text):
    name, _, value = text.partition(":")
    return name.strip().lower().encode(), literal(value.strip())


def section(name, entries):
    """A vector of its keys; a key that may come several times has a list."""
    one = lambda key, default=None: entries[key][0] if key in entries else default
    many = lambda key: entries.get(key, [])
    for needed in ("class", "source", "send", "answer", "reach"):
        if needed not in entries:
            raise ValueError(f"{name}: no {needed}")
    body = one("body")
    return Vector(
        name, one("class"), one("source"), one("send"), one("methods", "").split(),
        [alternative.split() for alternative in one("answer").split(" | ")],
        [reach(alternative) for alternative in one("reach").split(" | ")],
        [field(text) for text in many("with")], [text.encode() for text in many("without")],
        [text.encode() for text in many("no-trailer")], many("reply"), one("when", "end"),
        None if body is None else literal(body.strip('"')),
        [field(text) for text in many("answer-with")], [text.encode() for text in many("answer-without")], one("gap", ""),
    )


def parse(text):
    vectors, name, entries, block, key = [], None, {}, None, None

    def close_block():
        if block is not None:
            entries.setdefault(key, []).append(raw_block(block))

    def close_section():
        if name:
            vectors.append(section(name, entries))

    for line in text.split("\n"):
        if block is not None and (line == "" or line.startswith("  ")):
            block.append(line[2:])
            continue
        close_block()
        block = None
        if line == "" or line.startswith("#"):
            continue
        if line.startswith("["):
            close_section()
            name, entries = line.strip("[]"), {}
            continue
        key, _, value = line.partition(":")
        if key not in KEYS or (key in entries and key not in MANY):
            raise ValueError(f"{name}: {key}")
        if key in RAW:
            block = []
        else:
            entries.setdefault(key, []).append(value.strip())
    close_block()
    close_section()
    return vectors


def load():
    """All vectors, by file and in their order."""
    vectors = []
    for path in sorted(glob.glob(os.path.join(os.path.dirname(__file__), "vectors", "*.txt"))):
        with open(path, encoding="latin-1") as f:
            vectors += parse(f.read())
    names = [vector.name for vector in vectors]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"names given twice: {twice}")
    return vectors
