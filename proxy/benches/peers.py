"""Called by peers.sh: the proxy, nginx, HAProxy and a bare hyper proxy in front of the same targets, in turns."""

import glob
import json
import os
import resource
import shutil
import socket
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager

import tools
from checks import Checks, until
from testbed import Fleet, get, role
from tools import Ended, Server, free_port, median

TARGETS, USERS = 8, 50
ROUNDS = int(os.environ.get("ROUNDS", 7))
SECONDS = int(os.environ.get("SECONDS_PER_RUN", 3))
RATE = int(os.environ.get("RATE", 1000))
CONNECTIONS = [int(n) for n in os.environ.get("CONNECTIONS", "1 1000 10000").split()]
# Before memory is looked at: longer than a proxy takes to do with idle connections what it does with them.
REST_S = 3
# The targets answer at once: the proxy is what is measured.
HEADERS = ["galton-hold-ns: 0", "galton-cpu: 0"]
BARE = os.environ["BARE"]
# It counts two descriptors for each, and does not start if it may not have them.
HAPROXY_CONNECTIONS = (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200) // 2
# Ratios of CPU per request, and of memory per connection, that are held to.
CPU_LIMITS = {"nginx": 1.05, "haproxy": 1.0, "bare": 1.15}
ALL_LIMIT, MEMORY_LIMIT = 1.3, 1.5


# === what is measured ===


class Proxy:
    """A running proxy: where it listens, and the processes whose cost is its own."""

    def __init__(self, port, pids):
        self.port, self.pids, self.url = port, pids, f"http://127.0.0.1:{port}/"

    def cpu_s(self):
        """CPU time of all threads, by the kernel's scheduler."""
        return sum(int(open(f).read().split()[0]) for pid in self.pids for f in glob.glob(f"/proc/{pid}/task/*/schedstat")) / 1e9

    def resident_kb(self):
        return sum(int(line.split()[1]) for pid in self.pids for line in open(f"/proc/{pid}/status") if line.startswith("VmRSS:"))


def children(pid):
    return [int(child) for child in open(f"/proc/{pid}/task/{pid}/children").read().split()]


@contextmanager
def galton(fleet, host, recording):
    shared = ["--map", fleet.map] if fleet.architecture == "least_conns" else []
    argv = ["proxy", "--scenario", fleet.scenario, "--scaler", fleet.scaler, "--host", str(host), "--recording", recording, *shared]
    if recording != "off":
        argv += ["--records", f"{fleet.work}/records"]
    with role(*argv) as (process, said):
        until("the proxy", lambda: get(said["data"], "/")[0] == 200)
        yield Proxy(int(said["data"].rsplit(":")[-1]), [process.pid])


@contextmanager
def bare(fleet):
    port = free_port()
    with Server([BARE, str(port), *fleet.members()], port) as server:
        yield Proxy(port, [server.process.pid])


@contextmanager
def nginx(fleet):
    port, work = free_port(), fleet.work
    balance = "least_conn;" if fleet.architecture == "least_conns" else ""
    servers = " ".join(f"server {address};" for address in fleet.members())
    conf = f"""
worker_processes 1; daemon off; pid {work}/nginx.pid; error_log {work}/nginx.err; worker_rlimit_nofile 65536;
events {{ worker_connections 32768; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 3600; client_body_temp_path {work}/body;
  proxy_temp_path {work}/proxy; fastcgi_temp_path {work}/fastcgi; uwsgi_temp_path {work}/uwsgi; scgi_temp_path {work}/scgi;
  upstream targets {{ {balance} {servers} keepalive 1000; keepalive_requests 1000000000; keepalive_timeout 3600; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://targets; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header Host $host;
    }}
    location /status {{ stub_status; }}
  }}
}}
"""
    with open(f"{work}/nginx.conf", "w") as f:
        f.write(conf)
    with Server([shutil.which("nginx"), "-c", f"{work}/nginx.conf"], port) as server:
        yield Proxy(port, children(server.process.pid))


@contextmanager
def haproxy(fleet):
    port = free_port()
    balance = "leastconn" if fleet.architecture == "least_conns" else "roundrobin"
    servers = "\n".join(f"  server t{n} {address}" for n, address in enumerate(fleet.members()))
    conf = f"""
global
  nbthread 1
  maxconn {HAPROXY_CONNECTIONS}
defaults
  mode http
  timeout connect 1s
  timeout client 1h
  timeout server 1h
  timeout http-keep-alive 1h
  option http-keep-alive
  option forwardfor
  http-reuse always
frontend front
  bind 127.0.0.1:{port} backlog 4096
  default_backend targets
backend targets
  balance {balance}
{servers}
"""
    with open(f"{fleet.work}/haproxy.cfg", "w") as f:
        f.write(conf)
    with Server([shutil.which("haproxy"), "-f", f"{fleet.work}/haproxy.cfg", "-db"], port) as server:
        yield Proxy(port, [server.process.pid])


KINDS = {
    "nginx": nginx,
    "haproxy": haproxy,
    "bare": bare,
    "galton": lambda fleet: galton(fleet, 0, "off"),
    "galton, all": lambda fleet: galton(fleet, 1, "all"),
}


# === the measurements ===


def rounds(names, run):
    """All of them once a round, each round beginning with another one: what disturbs the machine for a while hits all."""
    results = {name: [] for name in names}
    for n in range(ROUNDS):
        for name in names[n % len(names):] + names[:n % len(names)]:
            results[name].append(run(name))
    return results


def ratio(results, of, to, value):
    return median([value(mine) / value(theirs) for mine, theirs in zip(results[of], results[to])])


def busy(proxy):
    """CPU per request in µs and requests/s with every connection busy."""
    before = proxy.cpu_s()
    argv = [shutil.which("wrk"), "-t1", f"-c{USERS}", f"-d{SECONDS}s"] + tools.flags("-H", HEADERS) + [proxy.url]
    out = Ended(argv).out
    if "Non-2xx" in out or "Socket errors" in out:
        sys.exit(out)
    done = tools.number(r"(\d+) requests in", out)
    return (proxy.cpu_s() - before) * 1e6 / done, tools.number(r"Requests/sec:\s+([\d.]+)", out)


def cpu(checks, work):
    for architecture in ("least_conns", "round_robin"):
        with ExitStack() as stack:
            fleet = Fleet(work, architecture, TARGETS, stack)
            running = {name: stack.enter_context(start(fleet)) for name, start in KINDS.items()}
            for proxy in running.values():
                busy(proxy)
            results = rounds(list(KINDS), lambda name: busy(running[name]))
        print(f"\n{architecture}, {TARGETS} targets, {USERS} connections, {ROUNDS} rounds of {SECONDS} s; medians (galton's ratio to it)")
        for name in KINDS:
            cost, rate = (median([run[n] for run in results[name]]) for n in (0, 1))
            print(f"  {name:<12} CPU µs/request {cost:6.2f} ({ratio(results, 'galton', name, lambda r: r[0]):4.2f})   requests/s {rate:8.0f}")
        for name, limit in CPU_LIMITS.items():
            measured = ratio(results, "galton", name, lambda r: r[0])
            checks.check(measured <= limit, f"{architecture}: CPU per request {measured:.2f} of {name}'s (limit {limit})")
        measured = ratio(results, "galton, all", "galton", lambda r: r[0])
        checks.check(measured <= ALL_LIMIT, f"{architecture}: recording all {measured:.2f} of recording off (limit {ALL_LIMIT})")


def paced(url, work):
    """Service latency in µs at a fixed rate: p50 and p99."""
    Ended([os.environ["LOADGEN"], url, "-r", str(RATE), "-z", f"{SECONDS}s", "--progress", "none", "--quiet",
           "--json", f"{work}/paced.json"] + tools.flags("-H", HEADERS))
    result = json.load(open(f"{work}/paced.json"))
    if result["counts"]["ok"] != result["counts"]["planned"]:
        sys.exit(f"not all ok: {result['counts']}")
    return [tools.loadgen_quantile(result, "service", q) * 1e3 for q in (0.5, 0.99)]


def latency(checks, work):
    with ExitStack() as stack:
        fleet = Fleet(work, "least_conns", TARGETS, stack)
        running = {name: stack.enter_context(start(fleet)).url for name, start in KINDS.items()}
        running["direct"] = f"http://{fleet.members()[0]}/"
        results = rounds(list(running), lambda name: paced(running[name], work))
    print(f"\nadded to a target's own response time, {RATE} requests/s, {ROUNDS} rounds of {SECONDS} s; medians over the rounds, µs")
    added = {}
    for name in KINDS:
        added[name] = [median([mine[q] - direct[q] for mine, direct in zip(results[name], results["direct"])]) for q in (0, 1)]
        print(f"  {name:<12} p50 {added[name][0]:7.1f}   p99 {added[name][1]:7.1f}")
    checks.check(added["galton"][0] <= added["nginx"][0],
                 f"p50 added {added['galton'][0]:.0f} µs, by nginx {added['nginx'][0]:.0f} µs")


def connected(proxy, n):
    """That many connections, each of which has had one answer."""
    request = f"GET / HTTP/1.1\r\nhost: x\r\n{''.join(h + chr(13) + chr(10) for h in HEADERS)}\r\n".encode()
    sockets = []
    for _ in range(n):
        connection = socket.create_connection(("127.0.0.1", proxy.port), 30)
        connection.sendall(request)
        if not connection.recv(4096).startswith(b"HTTP/1.1 200"):
            sys.exit(f"connection {len(sockets)} of {n} was not served")
        sockets.append(connection)
    return sockets


def memory(checks, work):
    grown = {}
    print(f"\nresident memory with idle keep-alive connections, each after one request, {REST_S} s later")
    for name in ("nginx", "haproxy", "bare", "galton"):
        with ExitStack() as stack:
            proxy = stack.enter_context(KINDS[name](Fleet(work, "least_conns", TARGETS, stack)))
            sizes, open_ones = [], []
            counts = [min(n, HAPROXY_CONNECTIONS - 1) if name == "haproxy" else n for n in CONNECTIONS]
            for n in counts:
                open_ones += connected(proxy, n - len(open_ones))
                time.sleep(REST_S)
                sizes.append(proxy.resident_kb())
            for connection in open_ones:
                connection.close()
        grown[name] = (sizes[-1] - sizes[0]) / (counts[-1] - counts[0])
        cells = "   ".join(f"{n:>6}: {size:>7} kB" for n, size in zip(counts, sizes))
        print(f"  {name:<8} {cells}   {grown[name]:6.2f} kB per connection")
    checks.check(grown["galton"] <= MEMORY_LIMIT * grown["nginx"],
                 f"memory per connection {grown['galton']:.2f} kB, nginx {grown['nginx']:.2f} kB (limit {MEMORY_LIMIT} of it)")


def main(what):
    checks = Checks()
    with tempfile.TemporaryDirectory() as work:
        for measure in (cpu, latency, memory):
            if measure.__name__ in what:
                measure(checks, work)
    checks.finish()


main(sys.argv[1:] or ["cpu", "latency", "memory"])
