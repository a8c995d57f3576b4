"""What the benches share: starting load generators and servers, what the kernel says they cost, what they print."""

import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

# A load that has not ended by then has gone wrong.
DEADLINE_S = 600


class Ended:
    """A process that has ended: what it printed, and its CPU seconds and peak memory by the kernel's account (rusage)."""

    def __init__(self, argv, cwd=None):
        self.argv = argv
        process = subprocess.Popen(
            argv, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        signal.signal(signal.SIGALRM, lambda *_: process.kill())
        signal.alarm(DEADLINE_S)
        self.out = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        signal.alarm(0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.code = process.returncode
        self.user_s, self.sys_s, self.peak_kb = usage.ru_utime, usage.ru_stime, usage.ru_maxrss
        if self.code != 0:
            sys.exit(f"{' '.join(argv)} ended with {self.code}:\n{self.out[-2000:]}")


class Server:
    """A server process of ours on a port of this machine; stopped at the end of a `with`."""

    def __init__(self, argv, port):
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.port, self.url = port, f"http://127.0.0.1:{port}/"
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    sys.exit(f"{' '.join(argv)} does not listen")
                time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # A stopped process does not hear.
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Result:
    """What a load generator says about a run, and what the run cost."""

    def __init__(self, ended, rate, p50_ms=None, p99_ms=None, done=None):
        self.rate, self.p50_ms, self.p99_ms, self.done = rate, p50_ms, p99_ms, done
        self.peak_kb = ended.peak_kb
        self.cpu_us = (ended.user_s + ended.sys_s) * 1e6 / done if done else None


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def number(pattern, text):
    found = re.search(pattern, text, re.M)
    if not found:
        sys.exit(f"no {pattern!r} in:\n{text[-2000:]}")
    return float(found.group(1))


def quantile(values, q):
    """The smallest value with a cumulative share of at least q."""
    values = sorted(values)
    return values[max(0, -(-len(values) * q // 1).__int__() - 1)] if values else None


def loadgen_quantile(result, what, q):
    """In ms; a result whose sample does not bear it is no result here."""
    for entry in result["latency"][what]["quantiles"]:
        if entry["q"] == q:
            return entry["value"] / 1e6
    sys.exit(f"no quantile {q} of {what}")


# How each is asked for a closed loop of `users`, and what it answers. Every one gets the same headers.


def loadgen(program, url, users, n, headers, work):
    ended = Ended([program, url, "-c", str(users), "-n", str(n), "--progress", "none", "--quiet",
                   "--json", f"{work}/loadgen.json"] + flags("-H", headers))
    result = json.load(open(f"{work}/loadgen.json"))
    assert result["counts"]["ok"] == n, result["counts"]
    at = lambda q: loadgen_quantile(result, "response", q)
    return Result(ended, result["rates"]["completed"], at(0.5), at(0.99), n)


def hey(program, url, users, n, headers, work):
    ended = Ended([program, "-n", str(n), "-c", str(users)] + flags("-H", headers) + [url])
    done = number(r"\[200\]\s+(\d+) responses", ended.out)
    at = lambda q: number(rf"^\s*{q}%+ in ([\d.]+) secs", ended.out) * 1e3
    return Result(ended, number(r"Requests/sec:\s+([\d.]+)", ended.out), at(50), at(99), done)


def wrk(program, url, users, n, headers, work, seconds=5):
    ended = Ended([program, "-t1", f"-c{users}", f"-d{seconds}s", "--latency"] + flags("-H", headers) + [url])
    if "Non-2xx" in ended.out:
        sys.exit(ended.out)

    def at(q):
        value, unit = re.search(rf"^\s*{q}%\s+([\d.]+)(us|ms|s)", ended.out, re.M).groups()
        return float(value) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit]

    done = number(r"(\d+) requests in", ended.out)
    return Result(ended, number(r"Requests/sec:\s+([\d.]+)", ended.out), at(50), at(99), done)


def ab(program, url, users, n, headers, work):
    ended = Ended([program, "-q", "-k", "-c", str(users), "-n", str(n)] + flags("-H", headers) + [url])
    assert number(r"Failed requests:\s+(\d+)", ended.out) == 0, ended.out
    at = lambda q: number(rf"^\s*{q}%\s+(\d+)", ended.out)
    return Result(ended, number(r"Requests per second:\s+([\d.]+)", ended.out), at(50), at(99), n)


def h2load(program, url, users, n, headers, work):
    log = f"{work}/h2load.log"
    argv = [program, "--h1", "-t1", f"-c{users}", f"-n{n}"] + flags("-H", headers)
    # It prints no percentiles, but writes a log with the time of every request, which costs it something.
    logged = Ended(argv + [f"--log-file={log}", url]) if headers else None
    ended = Ended(argv + [url])
    done = number(r"(\d+) succeeded", ended.out)
    assert done == n, ended.out
    rate = number(r"finished in [\d.]+\w+, ([\d.]+) req/s", (logged or ended).out)
    if not logged:
        return Result(ended, rate, done=done)
    times = [int(line.split("\t")[2]) / 1e3 for line in open(log)]
    os.unlink(log)
    return Result(ended, rate, quantile(times, 0.5), quantile(times, 0.99), done)


def oha(program, url, users, n, headers, work):
    ended = Ended([program, "--no-tui", "--output-format", "json", "-c", str(users), "-n", str(n)]
                  + flags("-H", headers) + [url])
    said = json.loads(ended.out[ended.out.index("{"):])
    at = lambda p: said["latencyPercentiles"][p] * 1e3
    done = sum(said["statusCodeDistribution"].values())
    return Result(ended, said["summary"]["requestsPerSec"], at("p50"), at("p99"), done)


PEERS = {"hey": hey, "wrk": wrk, "ab": ab, "h2load": h2load, "oha": oha}


def flags(flag, values):
    return [part for value in values for part in (flag, value)]


def programs():
    """Where the peers are; those that are missing are told about and are None."""
    found = {name: shutil.which(name) for name in PEERS}
    found["oha"] = os.environ.get("OHA") or found["oha"]
    if found["oha"] and not os.access(found["oha"], os.X_OK):
        found["oha"] = None
    for name, path in found.items():
        if not path:
            print(f"{name} is absent: comparisons with it count as failed")
    return found


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def nginx(work):
    """One worker, a small page, connections that live for ever."""
    port = free_port()
    conf = f"""
worker_processes 1; daemon off; pid {work}/nginx.pid; error_log {work}/nginx.err;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; client_body_temp_path {work}/body; proxy_temp_path {work}/proxy;
  fastcgi_temp_path {work}/fastcgi; uwsgi_temp_path {work}/uwsgi; scgi_temp_path {work}/scgi;
  server {{ listen 127.0.0.1:{port}; location / {{ default_type text/plain; return 200 "a small page\\n"; }} }}
}}
"""
    with open(f"{work}/nginx.conf", "w") as f:
        f.write(conf)
    return Server([shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin"), "-c", f"{work}/nginx.conf"], port)


def target(galton, work):
    """A Galton target, which holds a request for as long as its header says, and takes any number at a time."""
    port = free_port()
    with open(f"{work}/scenario.json", "w") as f:
        json.dump({"targets": {"max_concurrency_per_target": 1000}}, f)
    return Server([galton, "target", "--scenario", f"{work}/scenario.json", "--listen", f"127.0.0.1:{port}"], port)
