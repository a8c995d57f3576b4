"""Called by conformance.sh: sends every vector and holds what came of it against what it allows."""

import os
import socket
import sys
import time

import http2
import http2_vectors
import vectors
from checks import Checks, until
from recorder import CANARY, Target
from rig import Proxy
from wire import Responses, strict_fault

CANARY_REQUEST = b"GET /canary HTTP/1.1\r\nHost: canary\r\n\r\n"
# What does not answer within this does not answer. Nothing that passes waits for it.
ANSWER_S = 3
SHOWN_BYTES = 1200


class Exchange:
    """One vector on one connection of a client."""

    def __init__(self, addr, vector):
        self.addr, self.vector, self.responses, self.silent = addr, vector, Responses(vector.methods), False
        self.socket = None

    def run(self):
        """Sends it, waits for the answers, and asks once more: a left-over would be the answer to that, or its beginning."""
        with socket.create_connection(self.addr, timeout=ANSWER_S) as self.socket:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for part in self.vector.send:
                self.step(part)
            fewest = min(len(finals(answer)) for answer in self.vector.answers)
            self.read(lambda: self.responses.complete() >= max(fewest, 1))
            # Bytes after the end of the client's side would be none of this vector.
            if "eof" in self.vector.send:
                self.read(lambda: False)
            elif not self.responses.closed and not self.silent:
                self.send(CANARY_REQUEST)
                self.read(self.canary_answered)

    def step(self, part):
        if part == "wait":
            seen = len(self.responses.statuses)
            self.read(lambda: len(self.responses.statuses) > seen)
        elif part == "eof":
            try:
                self.socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        else:
            self.send(part)

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            # The other side closed, perhaps within what it had enough of; what it said is still to be read.
            pass

    def read(self, enough):
        """Reads until that, the end, or silence."""
        deadline = time.monotonic() + ANSWER_S
        while not enough() and not self.responses.closed and not self.responses.fault:
            try:
                self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
                self.responses.feed(self.socket.recv(65536))
            except TimeoutError:
                self.silent = True
                return
            except OSError:
                self.responses.feed(b"")

    def canary_answered(self):
        messages = self.responses.messages
        return bool(messages) and messages[-1].complete and messages[-1].body == b"canary"

    def outcome(self):
        """The statuses in their order, `!` behind one whose message is not complete, and how the connection stands."""
        messages = self.responses.messages
        if self.canary_answered():
            messages = messages[:-1]
        statuses = [str(status) for status in self.responses.statuses]
        if self.canary_answered():
            statuses.pop()
        if messages and not messages[-1].complete and statuses:
            statuses[-1] += "!"
        stands = "close" if self.responses.closed else "silence" if self.silent else "open"
        return statuses, stands, messages


def finals(answer):
    return [word for word in answer if word.rstrip("!").isdigit() and not word.startswith("1")]


def judge(vector, exchange, connections):
    """Everything that is wrong."""
    statuses, stands, messages = exchange.outcome()
    faults = []
    if exchange.responses.fault:
        faults.append(f"the client cannot read the answer: {exchange.responses.fault}")
    if not any(matches(answer, statuses, stands) for answer in vector.answers):
        allowed = " | ".join(" ".join(answer) for answer in vector.answers)
        faults.append(f"answered `{' '.join(statuses + [stands])}`, allowed `{allowed}`")
    reached, more = reached_requests(connections)
    faults += more
    if not any(same_requests(reach, reached) for reach in vector.reaches):
        faults.append(f"reached the target: {[describe(message) for message in reached] or 'nothing'}")
    faults += field_faults(vector, reached, messages)
    return faults


def matches(answer, statuses, stands):
    """Without a last word the connection may stay open or be closed; it is never silent."""
    *words, last = answer
    if last not in ("open", "close", "silence"):
        words, last = answer, None
    return words == statuses and (stands == last if last else stands != "silence")


def reached_requests(connections):
    reached, faults = [], []
    for requests in connections:
        if requests.fault:
            faults.append(f"what reached the target is no HTTP: {requests.fault}")
        fault, count = strict_fault(requests.raw)
        complete = sum(message.complete for message in requests.messages)
        if fault:
            faults.append(f"what reached the target is not of the grammar: {fault}")
        elif count != complete:
            faults.append(f"what reached the target is {complete} requests to h11 and {count} to a strict reader")
        reached += [message for message in requests.messages if message.start != (b"GET", CANARY)]
    return reached, faults


def same_requests(reach, reached):
    return len(reach) == len(reached) and all(same_request(*pair) for pair in zip(reach, reached))


def same_request(wanted, message):
    method, target, body = wanted
    if message.start != (method, target) or message.complete != (body is not None):
        return False
    return body is None or (len(message.body) == body if isinstance(body, int) else message.body == body)


def field_faults(vector, reached, messages):
    faults = []
    for message in reached:
        faults += [f"reached the target with {name.decode()}: {message.values(name)}, wanted {value!r}"
                   for name, value in vector.fields if message.values(name) != [value]]
        faults += [f"reached the target with {name.decode()}: {message.values(name)}"
                   for name in vector.not_fields if message.values(name)]
        faults += [f"reached the target with the trailer {name.decode()}: {value!r}"
                   for name, value in message.trailers if name in vector.not_trailers]
    # An answer of the proxy's own need not have the fields of the target's.
    if reached and messages and messages[0].start != 502:
        faults += answer_faults(vector, messages[0])
    return faults


def answer_faults(vector, message):
    faults = [f"answered with {name.decode()}: {message.values(name)}, wanted {value!r}"
              for name, value in vector.answer_fields if message.values(name) != [value]]
    faults += [f"answered with {name.decode()}: {message.values(name)}"
               for name in vector.answer_not_fields if message.values(name)]
    if vector.body is not None and message.body != vector.body:
        faults.append(f"answered with the body {message.body[:80]!r}, wanted {vector.body[:80]!r}")
    return faults


def describe(message):
    method, target = (part.decode("latin-1") for part in message.start)
    end = f"{len(message.body)} bytes" if message.complete else "incomplete"
    return f"{method} {target[:60]} {end}"


def shown(raw):
    return repr(raw[:SHOWN_BYTES])[1:] + (f" … {len(raw)} bytes" if len(raw) > SHOWN_BYTES else "")


def perform(proxy, number, exchange, when):
    """Sends a vector to a proxy whose only target is a new one; returns what is wrong, and what the target got."""
    target = Target(f"t-{number:03}", exchange.vector.replies, when)
    faults = []
    try:
        if not proxy.alive():
            proxy.start()
        proxy.scaler.fleet([(number, target.port)])
        until("the proxy knows the new target", lambda: probe(proxy.data) == target.name.encode())
        exchange.addr = proxy.data
        exchange.run()
        proxy.settled()
    except TimeoutError as error:
        faults.append(str(error))
    except (OSError, RuntimeError) as error:
        # Refused or reset where it should not be: it may have died of the vector. The next one finds a new one.
        faults.append(f"the proxy is not there: {error}, {proxy.log()}")
    finally:
        connections = target.close()
    return faults, connections


def probe(addr):
    """The name of the target that answers; nothing as long as none does."""
    responses = Responses([])
    try:
        with socket.create_connection(addr, timeout=ANSWER_S) as client:
            client.sendall(b"GET /probe HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n")
            while not responses.closed:
                responses.feed(client.recv(65536))
    except OSError:
        pass
    return responses.messages[0].body if responses.messages else b""


def tell(vector, exchange, connections):
    print(f"        source   {vector.source}")
    for part in vector.send:
        print(f"        sent     {part if isinstance(part, str) else shown(part)}")
    print(f"        client   {shown(exchange.responses.raw)} then {exchange.outcome()[1]}")
    for requests in connections:
        print(f"        target   {shown(requests.raw)}")


def say(checks, vector, faults, outcome):
    """Counts it; whether there is more to be said of it."""
    what = f"{vector.kind:<12} {vector.name}: {outcome}"
    if vector.gap:
        checks.known_gap(not faults, what, vector.gap)
        return os.environ.get("VERBOSE")
    return not checks.check(not faults, what) or os.environ.get("VERBOSE")


def one(proxy, checks, number, vector):
    """A vector of HTTP/1.1."""
    exchange = Exchange(proxy.data, vector)
    faults, connections = perform(proxy, number, exchange, vector.when)
    faults += judge(vector, exchange, connections)
    statuses, stands, _ = exchange.outcome()
    if not say(checks, vector, faults, " ".join(statuses + [stands])):
        return
    for fault in faults:
        print(f"        {fault}")
    if faults or os.environ.get("VERBOSE"):
        tell(vector, exchange, connections)


def two(proxy, checks, number, vector):
    """A vector of HTTP/2."""
    exchange = http2.Exchange(proxy.data, vector)
    faults, connections = perform(proxy, number, exchange, "end")
    reached, more = reached_requests(connections)
    faults += more + http2.judge(exchange, reached, same_requests)
    if not say(checks, vector, faults, exchange.outcome()):
        return
    for fault in faults:
        print(f"        {fault}")
    if faults or os.environ.get("VERBOSE"):
        print(f"        source   {vector.source}\n        sent     {shown(vector.send)}")
        for requests in connections:
            print(f"        target   {shown(requests.raw)}")


def main(words):
    checks, began = Checks(), time.monotonic()
    chosen = [(one, vector) for vector in vectors.load()] + [(two, vector) for vector in http2_vectors.load()]
    if words:
        chosen = [(send, v) for send, v in chosen if any(word in f"{v.name} {v.kind}" for word in words)]
    with Proxy() as proxy:
        for number, (send, vector) in enumerate(chosen, 1):
            send(proxy, checks, number, vector)
    print(f"\n{len(chosen)} vectors in {time.monotonic() - began:.1f} s")
    checks.finish()


if __name__ == "__main__":
    main(sys.argv[1:])
