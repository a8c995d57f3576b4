"""Called by conformance.sh: sends every vector of http2_vectors.py on a connection of its own."""

import frames
from frames import DATA, END_STREAM, GOAWAY, HEADERS, RST_STREAM, Connection
from vectors import reach

CANARY_STREAM = 101
# Fields of a connection, which an answer over HTTP/2 must not have (RFC 9113, 8.2.2).
OF_A_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"x-foo"}


class Exchange:
    """One vector and its canary."""

    def __init__(self, addr, vector):
        self.addr, self.vector, self.words, self.faults, self.canary = addr, vector, [], [], None

    def run(self):
        try:
            with Connection(self.addr) as connection:
                connection.send(self.vector.send)
                self.follow(connection, 1, self.words)
                if "goaway" not in self.words:
                    self.canary = []
                    connection.send(frames.request(CANARY_STREAM, b"/canary"))
                    self.follow(connection, CANARY_STREAM, self.canary)
        except AssertionError as error:
            self.faults.append(str(error))

    def follow(self, connection, wanted, words):
        """Reads until that stream or the connection is over; what was said, in its words."""
        for kind, flags, stream, payload in connection.frames(lambda *_: False):
            if kind == GOAWAY:
                words.append("goaway")
                return
            if kind == HEADERS:
                # Every block, whatever its stream: the decoder's table is the connection's.
                said = self.decode(connection, payload)
                if stream == wanted:
                    words += said
            if stream == wanted and kind == RST_STREAM:
                words.append("reset")
                return
            if stream == wanted and kind in (DATA, HEADERS) and flags & END_STREAM:
                return
        words.append("goaway" if connection.closed else "silence")

    def decode(self, connection, payload):
        found = [(bytes(name), bytes(value)) for name, value in connection.decoder.decode(payload, raw=True)]
        self.faults += [f"answered with {name.decode()}: {value!r}" for name, value in found if name in OF_A_HOP]
        return [value.decode() for name, value in found if name == b":status"]

    def outcome(self):
        return " ".join(self.words)


def judge(exchange, reached, same_requests):
    """Everything that is wrong."""
    vector, faults = exchange.vector, list(exchange.faults)
    if not faults and exchange.outcome() not in vector.answers:
        faults.append(f"answered `{exchange.outcome()}`, allowed `{' | '.join(vector.answers)}`")
    # After a fault of a stream the other side may also give up the connection (RFC 9113, 5.4.1).
    served = [["200"]] if exchange.words[-1:] == ["200"] else [["200"], ["goaway"]]
    if exchange.canary is not None and exchange.canary not in served:
        faults.append(f"the next stream was answered `{' '.join(exchange.canary)}`")
    if not any(same_requests(reach(alternative), reached) for alternative in vector.reach.split(" | ")):
        faults.append(f"reached the target: {[(m.start, m.body, m.complete) for m in reached] or 'nothing'}")
    for message in reached:
        faults += [f"reached the target with {name.decode()}: {message.values(name)}, wanted {value!r}"
                   for name, value in vector.fields if message.values(name) != [value]]
    return faults
