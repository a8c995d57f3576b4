"""A target that does what the path says: `target.py`; prints its port. Standard streams; ends with its standard input.

Well behaved, for clients.py: /ok, /file (GET, HEAD), /tagged (304), /digest (POST: length and SHA-256 of what came), /tally (of all /digest),
/stream (its first half at once, the rest when /release was asked for). Odd, for robust.py: the names in ODD.
"""

import asyncio
import collections
import hashlib
import sys

# Known to both sides: what /file is, and what the two halves of /stream are.
FILE = bytes(range(256)) * 4096
HALVES = (b"a" * 1000, b"b" * 1000)
# A mebibyte is beyond what a socket's buffers take of a client that does not read.
LARGE = b"HTTP/1.1 200 OK\r\ncontent-length: 1048576\r\n\r\n" + bytes(1 << 20)
SLOW_S = 0.5

tally = collections.Counter()
release = None


class End(Exception):
    """The connection is to be closed now."""


def answer(body, *fields, status=b"200 OK", send_body=True):
    head = b"HTTP/1.1 %s\r\ncontent-length: %d\r\n%s\r\n" % (status, len(body), b"".join(f + b"\r\n" for f in fields))
    return head + (body if send_body else b"")


async def body_of(reader, head):
    """The request's body, piece by piece."""
    if b"transfer-encoding: chunked" in head.lower():
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            yield await reader.readexactly(size)
            await reader.readexactly(2)
        while await reader.readuntil(b"\r\n") != b"\r\n":
            pass
        return
    left = length_of(head)
    while left:
        piece = await reader.read(min(left, 65536))
        if not piece:
            raise End
        left -= len(piece)
        yield piece


def length_of(head):
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


# === well behaved ===


async def ok(request, writer):
    writer.write(answer(b"ok"))


async def file(request, writer):
    writer.write(answer(FILE, b"content-type: application/octet-stream", send_body=request.method != b"HEAD"))


async def tagged(request, writer):
    if b'if-none-match: "v1"' in request.head.lower():
        # The length is that of the answer to a GET; no body follows.
        writer.write(b'HTTP/1.1 304 Not Modified\r\netag: "v1"\r\ncontent-length: 6\r\n\r\n')
    else:
        writer.write(answer(b"tagged", b'etag: "v1"'))


async def digest(request, writer):
    said = b"%d %s\n" % (request.length, request.digest.encode())
    tally[said.decode().strip()] += 1
    writer.write(answer(said))


async def tell_tally(request, writer):
    writer.write(answer("".join(f"{n} {what}\n" for what, n in tally.items()).encode()))


async def stream(request, writer):
    release.clear()
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(HALVES[0]), HALVES[0]))
    await writer.drain()
    await release.wait()
    writer.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(HALVES[1]), HALVES[1]))


async def let_go(request, writer):
    release.set()
    writer.write(answer(b"released"))


async def large(request, writer):
    writer.write(LARGE)


async def slow(request, writer):
    await asyncio.sleep(SLOW_S)
    writer.write(answer(b"slow"))


# === odd ===


async def between(request, writer):
    """Closes behind an answer that promised to stay."""
    writer.write(answer(b"ok"))
    raise End


async def nothing(request, writer):
    raise End


async def mid_headers(request, writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Le")
    raise End


async def mid_body(request, writer):
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello")
    raise End


async def mid_chunk(request, writer):
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\nhello")
    raise End


async def garbage(request, writer):
    writer.write(b"\x16\x03\x01 no HTTP at all\r\n\r\n")


async def two(request, writer):
    writer.write(answer(b"ok") + answer(b"evil"))


async def reset(request, writer):
    writer.transport.abort()
    raise End


async def unread(request, writer):
    """Answers without reading the body, and closes."""
    writer.write(answer(b"", b"connection: close", status=b"413 Content Too Large"))
    raise End


async def stuck(request, writer):
    """Neither reads nor answers, until the other side has had enough."""
    await request.gone()
    raise End


WELL = {b"/ok": ok, b"/file": file, b"/tagged": tagged, b"/digest": digest, b"/tally": tell_tally, b"/stream": stream,
        b"/release": let_go, b"/large": large, b"/slow": slow}
ODD = {b"/between": between, b"/nothing": nothing, b"/mid-headers": mid_headers, b"/mid-body": mid_body, b"/mid-chunk": mid_chunk,
       b"/garbage": garbage, b"/two": two, b"/reset": reset}
# Called before the body is read.
UNREAD = {b"/unread": unread, b"/stuck": stuck}


class Request:
    """A request whose head is there."""

    def __init__(self, head, reader, writer):
        self.head, self.reader, self.writer = head, reader, writer
        self.method, self.target, _ = head.split(b"\r\n", 1)[0].split(b" ")
        self.length, self.digest = 0, None

    async def read_body(self):
        sha = hashlib.sha256()
        async for piece in body_of(self.reader, self.head):
            sha.update(piece)
            self.length += len(piece)
        self.digest = sha.hexdigest()

    async def gone(self):
        """Waits for the other side to close. A transport that does not read would not notice: the kernel is asked."""
        self.writer.transport.pause_reading()
        sock = self.writer.transport.get_extra_info("socket")
        while sock.fileno() >= 0 and sock.getsockopt(6, 11, 1)[0] == 1:  # IPPROTO_TCP, TCP_INFO: TCP_ESTABLISHED
            await asyncio.sleep(0.02)


async def serve(reader, writer):
    try:
        while True:
            request = Request(await reader.readuntil(b"\r\n\r\n"), reader, writer)
            path = request.target.split(b"?")[0]
            if path not in UNREAD:
                await request.read_body()
            await (UNREAD.get(path) or ODD.get(path) or WELL[path])(request, writer)
            await writer.drain()
    except (End, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, KeyError, ValueError):
        pass
    finally:
        writer.close()


async def main():
    global release
    release = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    # At the end of the input there may be connections whose end nobody waits for.
    asyncio.run(main())
