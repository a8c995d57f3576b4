"""Called by robust.sh: the proxy under clients and targets that mean it no good."""

import asyncio
import os
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time

import floods
import odd
from bystander import Service
from checks import Checks, until
from clients import served_target
from herd import Herd
from rig import Proxy

REQUESTS = int(os.environ.get("REQUESTS", 100_000))
IDLE = int(os.environ.get("IDLE", 10_000))
ACTIVE = int(os.environ.get("ACTIVE", 1000))
ACTIVE_REQUESTS = 20
# Nothing for so long: nothing more will come.
STALL_S = 5
SLOW_S = int(os.environ.get("SLOW_S", 10))
FLOOD_FRAMES = int(os.environ.get("FLOOD_FRAMES", 200_000))

# How often another client has asked, at least, while a flood's connection is there.
ASKED = 100
# Of a connection that does not read: what the proxy may hold for it in both directions (its documented buffers are 64 KiB each).
HELD_KB = 160
# Of an idle connection: a read and a write buffer of the usual first size of 8 KiB, and what keeps them. A buffer of the limit, 64 KiB, in
# either direction would show.
IDLE_KB = 24
# Of all that a flood on one connection makes it hold: a few windows of HTTP/2 and an allocator's slack.
FLOOD_KB = 24 * 1024
# Between a fifth and the whole of the requests: an allocator's slack, where a leak of 100 bytes a request would be 8 MB.
LEAK_KB = 4 * 1024
# A request that fails through no fault of its own.
SPOILT_SHARE = 0.01
POURED_BYTES = 64 << 20


# === slow ===


def slow(checks, proxy):
    common = ["-l", str(SLOW_S), "-p", "3"]
    slowly(checks, proxy, "slow heads", 1000, ["-H", "-c", "1000", "-r", "500", "-i", "3", "-x", "24", "-u", proxy.url + "/ok", *common])
    slowly(checks, proxy, "slow bodies", 1000,
           ["-B", "-c", "1000", "-r", "500", "-i", "3", "-s", "8192", "-x", "10", "-u", proxy.url + "/digest", *common])
    slowly(checks, proxy, "slow reads", 250,
           ["-X", "-c", "250", "-r", "250", "-w", "10", "-y", "20", "-n", "5", "-z", "32", "-k", "3", "-u", proxy.url + "/large", *common])


def slowly(checks, proxy, what, connections, flags):
    before, peak = proxy.rss_kb(), Peak(proxy)
    with peak, beside(proxy) as service:
        done = subprocess.run(["slowhttptest", *flags], capture_output=True, text=True, timeout=SLOW_S * 5 + 60)
    said = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
    available = re.findall(r"service available:\s+(\w+)", said)
    checks.check(available and set(available) == {"YES"}, f"{what}: slowhttptest found the service available: {available}")
    checks.check(service.well(), f"{what}: {service.said()}")
    per = (peak.kb - before) / connections
    checks.check(per <= HELD_KB, f"{what}: {per:.1f} kB of memory for each of {connections} connections, at most {HELD_KB}")
    checks.attempt(f"{what}: every slot is given back", proxy.settled)


def beside(proxy):
    """Another client of the proxy, and one of its target."""
    return Service(proxy.data, ("127.0.0.1", int(proxy.scaler.members[0]["data"].split(":")[1])))


class Peak:
    """The most memory that the proxy has during a `with`."""

    def __init__(self, proxy):
        self.proxy, self.kb, self.over = proxy, proxy.rss_kb(), threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def watch(self):
        try:
            while not self.over.wait(0.05):
                self.kb = max(self.kb, self.proxy.rss_kb())
        except OSError:
            # It has died, which another check says.
            pass

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


# === HTTP/2 ===


def http2(checks, proxy):
    with tempfile.NamedTemporaryFile() as upload:
        upload.write(os.urandom(100_000))
        upload.flush()
        checks.attempt("h2load: 20000 requests, 20 connections of 10 streams", h2load, 20_000, "-c20", "-m10", proxy.url + "/ok")
        checks.attempt("h2load: 500 uploads of 100 kB", h2load, 500, "-c5", "-m5", "-d", upload.name, proxy.url + "/digest")
    checks.attempt("h2load: 200 answers of 1 MiB", h2load, 200, "-c5", "-m5", proxy.url + "/large")
    checks.attempt("nghttp: the frames of one exchange", nghttp, 1, proxy.url + "/ok")
    checks.attempt("nghttp: the frames of 20 exchanges at once", nghttp, 20, "-m", "20", proxy.url + "/ok")
    checks.attempt("nothing is in flight any more", proxy.settled)


def h2load(n, *flags):
    said = subprocess.run(["h2load", f"-n{n}", *flags], capture_output=True, text=True, timeout=60).stdout
    line = next((line for line in said.splitlines() if line.startswith("requests:")), said[-200:])
    if f"{n} succeeded, 0 failed, 0 errored, 0 timeout" not in line or f"{n} 2xx" not in said:
        raise AssertionError(line)
    return next(line for line in said.splitlines() if line.startswith("finished"))


def nghttp(n, *flags):
    """Every stream has one head of status 200 and ends with data; the connection says no error."""
    said = subprocess.run(["nghttp", "-nv", *flags], capture_output=True, text=True, timeout=20)
    text = re.sub(r"\x1b\[[0-9;]*m", "", said.stdout)
    received = re.findall(r"recv (?:\(stream_id=(\d+)\) )?(:status: \d+|\w+ frame)(?: <length=\d+, flags=0x(\w+), stream_id=(\d+)>)?", text)
    statuses = [what for _, what, _, _ in received if what.startswith(":status")]
    ends = [stream for _, what, flags, stream in received if what in ("DATA frame", "HEADERS frame") and int(flags, 16) & 1]
    settings = [flags for _, what, flags, _ in received if what == "SETTINGS frame"]
    errors = re.findall(r"recv (?:RST_STREAM|GOAWAY) frame.*\n.*error_code=(?!NO_ERROR)(\w+)", text)
    if statuses != [":status: 200"] * n or len(ends) != n or len(set(ends)) != n or errors or len(settings) != 2:
        raise AssertionError(f"received {statuses}, ends of streams {ends}, {len(settings)} SETTINGS, errors {errors}")
    return f"{n} x :status 200, each stream ended once"


# === floods ===


def flood(checks, proxy):
    for one in floods.FLOODS:
        before, peak, name = proxy.rss_kb(), Peak(proxy), one.__name__.replace("_", " ")
        with peak, beside(proxy) as service:
            others = lambda: until("others have asked", lambda: service.asked() >= ASKED)
            if not checks.attempt(f"{name}: it is taken or ended", floods.run, proxy.data, one, FLOOD_FRAMES, others):
                continue
        checks.check(peak.kb - before <= FLOOD_KB, f"{name}: {peak.kb - before} kB more memory, at most {FLOOD_KB}")
        checks.check(service.well(), f"{name}: {service.said()}")
        checks.attempt(f"{name}: every slot is given back", proxy.settled)


# === idle ===


def idle(checks, proxy):
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit[1], limit[1]))
    print(f"        {limit[1]} descriptors for a process here")
    before = proxy.rss_kb()
    with Herd(proxy.data) as herd:
        answered = herd.open(IDLE, STALL_S)
        per = (proxy.rss_kb() - before) / max(answered, 1)
        checks.check(answered == IDLE, f"{answered} of {IDLE} connections were accepted and answered, and stay")
        checks.check(per <= IDLE_KB, f"{per:.2f} kB of memory for an idle connection, at most {IDLE_KB}")
        with beside(proxy) as service:
            checks.attempt(f"{ACTIVE} active ones beside them", active, proxy)
        checks.check(service.well(), f"meanwhile {service.said()}")
    checks.attempt("every slot is given back", proxy.settled)
    checks.attempt("every descriptor is given back", until, "few descriptors", lambda: proxy.descriptors() < ACTIVE + 100)


def active(proxy):
    began = time.monotonic()
    with Herd(proxy.data) as herd:
        opened = herd.open(ACTIVE, STALL_S)
        if opened != ACTIVE:
            raise AssertionError(f"only {opened} were accepted")
        took_s = time.monotonic() - began
        done = herd.work(ACTIVE_REQUESTS, STALL_S)
        if done != ACTIVE * ACTIVE_REQUESTS:
            raise AssertionError(f"only {done} of {ACTIVE * ACTIVE_REQUESTS} answers")
        memory = proxy.rss_kb() / 1024
        return f"accepted in {took_s:.1f} s, {done} answers in {time.monotonic() - began - took_s:.1f} s, {memory:.0f} MiB in all"


# === targets ===


def targets(checks, proxy):
    first, tally = REQUESTS // 5, odd.Tally()
    asyncio.run(odd.send(proxy.data, first, tally))
    early = settled_size(proxy)
    asyncio.run(odd.send(proxy.data, REQUESTS - first, tally))
    late = settled_size(proxy)
    for line, n in sorted(tally.outcomes.items()):
        print(f"        {n:>7} {line}")
    checks.check(not tally.wrong, f"{tally.total()} requests to odd targets: {len(tally.wrong)} wrong {tally.wrong[:5]}")
    share = tally.spoilt / tally.total()
    checks.check(share <= SPOILT_SHARE, f"{tally.spoilt} good requests spoilt by the one before, {share:.2%}, at most {SPOILT_SHARE:.0%}")
    checks.check(late[0] - early[0] <= LEAK_KB, f"memory from {first} to {REQUESTS} requests: {early[0]} to {late[0]} kB")
    checks.check(late[1] <= early[1] + 4, f"descriptors from {first} to {REQUESTS} requests: {early[1]} to {late[1]}")
    before, peak = proxy.rss_kb(), Peak(proxy)
    with peak:
        taken, status = asyncio.run(odd.pour(proxy.data, POURED_BYTES))
    more = peak.kb - before
    checks.check(status == "504", f"a body of {POURED_BYTES} bytes to a target that does not read ends with {status}")
    checks.check(taken < POURED_BYTES / 2 and more <= FLOOD_KB, f"{taken} bytes of it were taken, {more} kB more memory")
    checks.attempt("every slot is given back", proxy.settled)


def settled_size(proxy):
    """Memory and descriptors once nothing is going on."""
    proxy.settled()
    sizes = []

    def steady():
        sizes.append(proxy.descriptors())
        return len(sizes) > 20 and len(set(sizes[-20:])) == 1

    until("the descriptors are steady", steady)
    return proxy.rss_kb(), sizes[-1]


PARTS = {"slow": slow, "http2": http2, "floods": flood, "idle": idle, "targets": targets}


def main(chosen):
    checks = Checks()
    for name in chosen or PARTS:
        began = time.monotonic()
        print(f"\n== {name}", flush=True)
        # A proxy of its own, so that what one part leaves behind is not measured in another.
        with served_target() as port, Proxy() as proxy:
            proxy.scaler.fleet([(1, port)])
            try:
                until("the target is served", lambda: served(proxy))
                PARTS[name](checks, proxy)
            except Exception as error:  # Any: what ends one part must not keep the others from running.
                checks.check(False, f"the part came to its end: {type(error).__name__}: {error}")
            checks.check(proxy.alive(), f"the proxy is still there ({time.monotonic() - began:.0f} s)")
    checks.finish()


def served(proxy):
    """Whether a request comes through: the fleet is known."""
    try:
        with Herd(proxy.data) as herd:
            return herd.open(1, STALL_S) == 1
    except ConnectionError:
        return False


if __name__ == "__main__":
    unknown = [word for word in sys.argv[1:] if word not in PARTS]
    if unknown:
        sys.exit(f"no such part: {' '.join(unknown)}; there are {' '.join(PARTS)}")
    main(sys.argv[1:])
