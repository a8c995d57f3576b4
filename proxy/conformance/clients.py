"""Called by clients.sh: each client does what it is used for, and what came over is compared byte by byte or by its SHA-256."""

import asyncio
import contextlib
import hashlib
import http.client
import os
import re
import subprocess
import sys
import tempfile

import aiohttp

from checks import Checks
from rig import Proxy
from target import FILE, HALVES

UPLOAD = os.urandom(10_000_000)
SMALL_UPLOAD = os.urandom(100_000)
# Beyond it a client hangs.
DEADLINE_S = 20
WRK_SCRIPT = """
bad = 0
function response(status, headers, body)
  if status ~= 200 or body ~= "ok" then bad = bad + 1 end
end
function setup(thread) threads = threads or {} table.insert(threads, thread) end
function done(summary, latency, requests)
  local sum = 0
  for _, thread in ipairs(threads) do sum = sum + thread:get("bad") end
  print("bad " .. sum)
end
"""


@contextlib.contextmanager
def served_target():
    """The target's process; gives its port."""
    argv = [sys.executable, os.path.join(os.path.dirname(__file__), "target.py")]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def expect(got, wanted, what="it"):
    if got != wanted:
        shorten = lambda value: f"{value!r:.200}"
        raise AssertionError(f"{what} is {shorten(got)}, wanted {shorten(wanted)}")


def digest_of(body):
    return f"{len(body)} {hashlib.sha256(body).hexdigest()}"


def output(argv, stdin=None):
    done = subprocess.run(argv, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=DEADLINE_S)
    if done.returncode != 0:
        raise AssertionError(f"exit code {done.returncode}: {(done.stderr or done.stdout)[-300:]!r}")
    return done.stdout


def number(pattern, text):
    found = re.search(pattern, text, re.M)
    if not found:
        raise AssertionError(f"no {pattern!r} in {text[-500:]!r}")
    return int(found.group(1))


class Curl:
    """curl with some flags."""

    def __init__(self, url, work, *flags):
        self.url, self.work = url, work
        self.argv = ["curl", "--silent", "--show-error", "--max-time", str(DEADLINE_S), *flags]

    def run(self, path, *flags, stdin=None):
        return output([*self.argv, *flags, self.url + path], stdin)

    def get(self):
        expect(hashlib.sha256(self.run("/file")).hexdigest(), hashlib.sha256(FILE).hexdigest())

    def post(self):
        expect(self.run("/digest", "--data-binary", f"@{self.work}/upload").decode().strip(), digest_of(UPLOAD))

    def chunked(self):
        said = self.run("/digest", "--upload-file", "-", "--request", "POST", stdin=UPLOAD)
        expect(said.decode().strip(), digest_of(UPLOAD))

    def head(self):
        head = self.run("/file", "--head").decode().lower()
        expect(number(r"^content-length: (\d+)", head), len(FILE), "its length")

    def not_modified(self):
        code = self.run("/tagged", "--header", 'If-None-Match: "v1"', "--write-out", "%{http_code} %{size_download}")
        expect(code, b"304 0")
        expect(self.run("/tagged", "--write-out", " %{http_code}"), b"tagged 200")

    def stream(self):
        argv = [*self.argv, "--no-buffer", self.url + "/stream"]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as curl:
            expect(curl.stdout.read(len(HALVES[0])), HALVES[0], "the first half")
            expect(self.run("/release"), b"released")
            expect(curl.stdout.read(), HALVES[1], "the second half")
        expect(curl.returncode, 0, "the exit code")

    def version(self, wanted):
        expect(self.run("/ok", "--write-out", " %{http_version}").decode(), f"ok {wanted}")

    def reuse(self):
        said = output([*self.argv, "--write-out", " %{num_connects};", self.url + "/ok", self.url + "/ok"])
        expect(said, b"ok 1;ok 0;")


class HttpClient:
    """Python's http.client, all on one connection."""

    def __init__(self, addr):
        self.addr = addr
        self.connection = http.client.HTTPConnection(*addr, timeout=DEADLINE_S)

    def ask(self, method, path, body=None, headers=None, **more):
        self.connection.request(method, path, body, headers or {}, **more)
        return self.connection.getresponse()

    def get(self):
        expect(self.ask("GET", "/file").read() == FILE, True, "the same file")

    def post(self):
        expect(self.ask("POST", "/digest", UPLOAD).read().decode().strip(), digest_of(UPLOAD))

    def chunked(self):
        pieces = (UPLOAD[n:n + 100_003] for n in range(0, len(UPLOAD), 100_003))
        said = self.ask("POST", "/digest", pieces, {"transfer-encoding": "chunked"}, encode_chunked=True)
        expect(said.read().decode().strip(), digest_of(UPLOAD))

    def head(self):
        answer = self.ask("HEAD", "/file")
        expect((answer.status, answer.getheader("content-length"), answer.read()), (200, str(len(FILE)), b""))

    def not_modified(self):
        answer = self.ask("GET", "/tagged", headers={"if-none-match": '"v1"'})
        expect((answer.status, answer.read(), answer.getheader("etag")), (304, b"", '"v1"'))
        expect(self.ask("GET", "/tagged").read(), b"tagged")

    def stream(self):
        answer, other = self.ask("GET", "/stream"), HttpClient(self.addr)
        expect(answer.read(len(HALVES[0])), HALVES[0], "the first half")
        expect(other.ask("GET", "/release").read(), b"released")
        expect(answer.read(), HALVES[1], "the second half")
        other.connection.close()


class Aiohttp:
    """aiohttp; a session for each check."""

    def __init__(self, url):
        self.url = url

    def run(self, check):
        async def within():
            timeout = aiohttp.ClientTimeout(total=DEADLINE_S)
            async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
                await check(session)

        asyncio.run(within())

    async def get(self, session):
        async with session.get(self.url + "/file") as answer:
            expect(await answer.read() == FILE, True, "the same file")

    async def post(self, session):
        async with session.post(self.url + "/digest", data=UPLOAD) as answer:
            expect((await answer.text()).strip(), digest_of(UPLOAD))

    async def chunked(self, session):
        async def pieces():
            for n in range(0, len(UPLOAD), 100_003):
                yield UPLOAD[n:n + 100_003]

        async with session.post(self.url + "/digest", data=pieces()) as answer:
            expect((await answer.text()).strip(), digest_of(UPLOAD))

    async def head(self, session):
        async with session.head(self.url + "/file") as answer:
            expect((answer.status, answer.headers["content-length"]), (200, str(len(FILE))))

    async def not_modified(self, session):
        async with session.get(self.url + "/tagged", headers={"if-none-match": '"v1"'}) as answer:
            expect((answer.status, await answer.read()), (304, b""))

    async def stream(self, session):
        async with session.get(self.url + "/stream") as answer:
            expect(await answer.content.readexactly(len(HALVES[0])), HALVES[0], "the first half")
            async with session.get(self.url + "/release") as released:
                expect(await released.text(), "released")
            expect(await answer.content.read(), HALVES[1], "the second half")

    async def fifty_at_once(self, session):
        async def one(n):
            body = SMALL_UPLOAD[n:]
            async with session.post(self.url + "/digest", data=body) as answer:
                expect((await answer.text()).strip(), digest_of(body))

        await asyncio.gather(*(one(n) for n in range(50)))


def wrk(url, work):
    with open(f"{work}/check.lua", "w") as f:
        f.write(WRK_SCRIPT)
    said = output(["wrk", "-t2", "-c20", "-d2s", "-s", f"{work}/check.lua", url + "/ok"]).decode()
    expect(number(r"^bad (\d+)", said), 0, "the number of bad answers")
    expect("Socket errors" in said or "Non-2xx" in said, False, f"errors in {said}")
    answered = number(r"(\d+) requests in", said)
    return f"{answered} requests"


def ab(url, work, *flags, n=2000):
    """ab speaks HTTP/1.0, and counts answers of another length than the first as failed."""
    said = output(["ab", "-q", "-n", str(n), "-c", "10", *flags, url + ("/digest" if "-p" in flags else "/ok")]).decode()
    expect(number(r"^Complete requests:\s+(\d+)", said), n, "the number of answers")
    expect(number(r"^Failed requests:\s+(\d+)", said), 0, "the number of failed ones")
    expect("Non-2xx" in said, False, f"errors in {said}")
    if "-p" not in flags:
        expect(number(r"^Document Length:\s+(\d+)", said), 2, "the length")
    if "-k" in flags:
        expect(number(r"^Keep-Alive requests:\s+(\d+)", said), n, "the number on kept connections")


def hey(url, work, *flags, path="/ok", n=2000, size=2):
    said = output(["hey", "-n", str(n), "-c", "10", *flags, url + path]).decode()
    expect(number(r"\[200\]\s+(\d+) responses", said), n, "the number of answers 200")
    expect(number(r"Size/request:\s+(\d+) bytes", said), size, "the length")
    expect("Error distribution" in said, False, f"errors in {said}")


def uploads(proxy, generate):
    """A hundred: a load generator compares no answers, so the target is asked how many of them came whole."""
    before = whole_uploads(proxy)
    generate()
    expect(whole_uploads(proxy) - before, 100, "the number of whole ones")


def whole_uploads(proxy):
    tally = HttpClient(proxy.data).ask("GET", "/tally").read().decode()
    return sum(int(n) for n, what in re.findall(r"^(\d+) (.*)$", tally, re.M) if what == digest_of(SMALL_UPLOAD))


ALL = [("GET of 1 MiB", "get"), ("POST of 10 MB", "post"), ("chunked upload of 10 MB", "chunked"), ("HEAD", "head"),
       ("304", "not_modified"), ("first half of a stream before the second is sent", "stream")]


def main(work):
    checks = Checks()
    with open(f"{work}/upload", "wb") as f:
        f.write(UPLOAD)
    with open(f"{work}/small", "wb") as f:
        f.write(SMALL_UPLOAD)
    with served_target() as port, Proxy() as proxy:
        proxy.scaler.fleet([(1, port)])
        through(checks, proxy, work)
        checks.attempt("nothing is in flight any more", proxy.settled)
    checks.finish()


def through(checks, proxy, work):
    for name, curl in (("curl", Curl(proxy.url, work, "--http1.1")), ("curl HTTP/1.0", Curl(proxy.url, work, "--http1.0")),
                       ("curl HTTP/2", Curl(proxy.url, work, "--http2-prior-knowledge"))):
        for what, method in ALL:
            # A client of 1.0 has no chunks.
            if (name, method) != ("curl HTTP/1.0", "chunked"):
                checks.attempt(f"{name}: {what}", getattr(curl, method))
    checks.attempt("curl: HTTP/1.1 is answered", Curl(proxy.url, work, "--http1.1").version, "1.1")
    checks.attempt("curl HTTP/2: HTTP/2 is answered", Curl(proxy.url, work, "--http2-prior-knowledge").version, "2")
    checks.attempt("curl: the connection is kept", Curl(proxy.url, work, "--http1.1").reuse)
    client = HttpClient(proxy.data)
    for what, method in ALL:
        checks.attempt(f"http.client: {what}", getattr(client, method))
    client = Aiohttp(proxy.url)
    for what, method in [*ALL, ("50 uploads at once", "fifty_at_once")]:
        checks.attempt(f"aiohttp: {what}", client.run, getattr(client, method))
    checks.attempt("wrk: 2 s of 20 connections, every body compared", wrk, proxy.url, work)
    checks.attempt("ab: 2000 requests of HTTP/1.0", ab, proxy.url, work)
    checks.attempt("ab: 2000 on connections that are kept", ab, proxy.url, work, "-k")
    checks.attempt("hey: 2000 requests", hey, proxy.url, work)
    posting = lambda: ab(proxy.url, work, "-p", f"{work}/small", n=100)
    checks.attempt("ab: 100 uploads of 100 kB", uploads, proxy, posting)
    said = len(digest_of(SMALL_UPLOAD)) + 1
    posting = lambda: hey(proxy.url, work, "-m", "POST", "-D", f"{work}/small", path="/digest", n=100, size=said)
    checks.attempt("hey: 100 uploads of 100 kB", uploads, proxy, posting)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="galton-clients-") as directory:
        main(directory)
