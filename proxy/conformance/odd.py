"""Requests to targets that are odd (target.py, ODD and UNREAD), many at a time, and what each of them must look like to the client."""

import asyncio
import collections
import time

# Enough to have requests of all kinds side by side.
WORKERS = 16
# One request in so many goes to a target that never reads: it holds a worker until its deadline.
STUCK_EVERY = 400
STUCK_MS = 200
# Above what the proxy keeps of a body to send it again.
UNREAD_BYTES = 70_000
ANSWER_S = 10

# What a client may see; `broken`: a head and not the whole body, `closed`: not even a head. Counted apart are requests that another one
# has spoilt: a target that closes or says too much behind its answer may do so just when the next request is sent there (502), and a
# proxy that answers before the whole body has come may close when it has enough of the rest (RFC 9112, 9.5: without a word it should not).
ALLOWED = {
    "/ok": {"200"}, "/between": {"200"}, "/two": {"200"}, "/nothing": {"502"}, "/reset": {"502"}, "/mid-headers": {"502"},
    "/garbage": {"502"}, "/mid-body": {"200 broken", "502", "closed"}, "/mid-chunk": {"200 broken", "502", "closed"},
    "/unread": {"413", "502"}, "/stuck": {"504"},
}
KINDS = [kind for kind in ALLOWED if kind != "/stuck"]


class Tally:
    """What came of the requests."""

    def __init__(self):
        self.outcomes, self.wrong, self.spoilt = collections.Counter(), [], 0

    def count(self, kind, outcome, before):
        """`before`: the kind of the request before on the same connection of the client."""
        self.outcomes[f"{kind} {outcome}"] += 1
        if outcome in ALLOWED[kind]:
            return
        if outcome == "502" or outcome == "closed" and before == "/unread":
            self.spoilt += 1
        else:
            self.wrong.append(f"{kind} behind {before}: {outcome}")

    def total(self):
        return sum(self.outcomes.values())


class Client:
    """A connection that is opened again when it ends."""

    def __init__(self, addr):
        self.addr, self.reader, self.writer, self.before = addr, None, None, None

    async def ask(self, kind):
        """How the request ended."""
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection(*self.addr)
            self.before = None
        try:
            self.writer.write(request(kind))
            async with asyncio.timeout(ANSWER_S):
                return await self.outcome()
        except TimeoutError:
            self.close()
            return "no answer"
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            return "closed"

    async def outcome(self):
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        status = head[9:12].decode()
        try:
            await self.body(head)
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            return f"{status} broken"
        if b"connection: close" in head:
            self.close()
        return status

    async def body(self, head):
        if b"transfer-encoding: chunked" in head:
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                await self.reader.readexactly(size + 2)
            await self.reader.readexactly(2)
            return
        length = head.index(b"content-length:")
        body = await self.reader.readexactly(int(head[length + 15:head.index(b"\r\n", length)]))
        if b"evil" in body:
            raise AssertionError("a second answer reached a client")

    def close(self):
        if self.writer:
            self.writer.close()
        self.writer = None


def request(kind):
    if kind == "/unread":
        return b"POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % UNREAD_BYTES + bytes(UNREAD_BYTES)
    if kind == "/stuck":
        deadline = time.clock_gettime_ns(time.CLOCK_MONOTONIC) + STUCK_MS * 1_000_000
        return (b"POST /stuck HTTP/1.1\r\nHost: a\r\ngalton-deadline-ns: %d\r\nContent-Length: %d\r\n\r\n"
                % (deadline, UNREAD_BYTES) + bytes(UNREAD_BYTES))
    return f"GET {kind} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


async def send(addr, count, tally):
    """That many requests of all kinds in turns; closes its connections."""
    numbers = iter(range(count))

    async def worker():
        client = Client(addr)
        for n in numbers:
            kind = "/stuck" if n % STUCK_EVERY == 0 else KINDS[n % len(KINDS)]
            outcome = await client.ask(kind)
            tally.count(kind, outcome, client.before)
            client.before = kind
        client.close()

    await asyncio.gather(*(worker() for _ in range(WORKERS)))


async def pour(addr, length):
    """Sends a body to a target that never reads; how much of it was taken, and the status in the end."""
    reader, writer = await asyncio.open_connection(*addr, limit=1 << 16)
    deadline = time.clock_gettime_ns(time.CLOCK_MONOTONIC) + 2_000_000_000
    writer.write(b"POST /stuck HTTP/1.1\r\nHost: a\r\ngalton-deadline-ns: %d\r\nContent-Length: %d\r\n\r\n" % (deadline, length))
    taken, piece = 0, bytes(65536)

    async def push():
        nonlocal taken
        while taken < length:
            writer.write(piece)
            await writer.drain()
            taken += len(piece)

    pushing = asyncio.ensure_future(push())
    try:
        status = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), ANSWER_S))[9:12].decode()
    except (OSError, asyncio.IncompleteReadError):
        status = "closed"
    pushing.cancel()
    await asyncio.gather(pushing, return_exceptions=True)
    writer.close()
    return taken, status
