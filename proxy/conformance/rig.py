"""A proxy process, and the scaler that tells it of targets which are sockets of this program."""

import http.client
import http.server
import json
import os
import queue
import re
import subprocess
import tempfile
import threading
import time

from checks import until

SCENARIO = {
    "load_balancer": {
        "architecture": "round_robin",
        "hosts": 1,
        "no_capacity": "fail",
        # One attempt each: what reaches a target twice would be the proxy's doing.
        "rr": {"retry_limit": 0, "sync_delay_ms": 0, "idle_scale_down_threshold_requests_5m": 0},
    },
    "targets": {"max_concurrency_per_target": 4096},
    "traffic": {"timeout_ms": 60_000},
}


class Scaler:
    """Says on the watch stream what it is told to say, and accepts every post."""

    def __init__(self):
        self.lines, self.version, self.members = queue.SimpleQueue(), 1, []
        self.t0_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        scaler = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                self.send_response(200)
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                self.say({"hello": scaler.hello()})
                try:
                    while True:
                        self.say(scaler.next_line())
                except OSError:
                    self.close_connection = True

            def say(self, line):
                text = json.dumps(line).encode() + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))

            def do_POST(self):
                self.rfile.read(int(self.headers.get("content-length", 0)))
                self.send_response(202)
                self.send_header("content-length", "0")
                self.end_headers()

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addr = "127.0.0.1:%d" % self.server.server_address[1]

    def hello(self):
        return {"start": {"t0_ns": self.t0_ns}, "version": self.version, "members": self.members}

    def next_line(self):
        try:
            return self.lines.get(timeout=1)
        except queue.Empty:
            return "ping"

    def fleet(self, targets):
        """From now on these are the targets: numbers and ports."""
        self.version += 1
        self.members = [
            {"target": f"t-{number:03}", "incarnation": 0, "data": f"127.0.0.1:{port}", "admin": f"127.0.0.1:{port}",
             "since_ns": self.t0_ns}
            for number, port in targets
        ]
        self.lines.put({"snapshot": {"version": self.version, "members": self.members}})

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Proxy:
    """`galton proxy` behind a scaler of its own; ended at the end of a `with`."""

    def __init__(self, **changes):
        self.work = tempfile.TemporaryDirectory(prefix="galton-conformance-")
        self.log_path = f"{self.work.name}/log"
        self.scenario = f"{self.work.name}/scenario.json"
        with open(self.scenario, "w") as f:
            json.dump({**SCENARIO, **changes}, f)
        self.scaler, self.process = Scaler(), None
        self.start()

    def start(self):
        argv = [os.environ["GALTON"], "proxy", "--scenario", self.scenario, "--scaler", self.scaler.addr]
        with open(self.log_path, "a") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the proxy ended with {self.process.wait()}: {self.log()}")
        announce = json.loads(line)
        self.pid = announce["pid"]
        self.data = ("127.0.0.1", int(announce["data"].rsplit(":", 1)[1]))
        self.admin = ("127.0.0.1", int(announce["admin"].rsplit(":", 1)[1]))
        self.url = f"http://127.0.0.1:{self.data[1]}"
        until("the proxy is ready", lambda: self.get_admin("/readyz")[0] == 200)

    def alive(self):
        return self.process.poll() is None

    def log(self):
        with open(self.log_path) as f:
            return f.read()[-2000:]

    def get_admin(self, path):
        connection = http.client.HTTPConnection(*self.admin, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def metric(self, name, label=""):
        """The sum of the series of that name whose labels contain this."""
        series = re.findall(rf"^{name}(?:\{{(.*)\}})? (\S+)$", self.get_admin("/metrics")[1], re.M)
        return sum(float(value) for labels, value in series if label in labels)

    def in_flight(self):
        return self.metric("galton_proxy_in_flight")

    def settled(self):
        until("nothing in flight", lambda: self.in_flight() == 0)

    def rss_kb(self):
        with open(f"/proc/{self.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+) kB", f.read()).group(1))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.scaler.close()
        self.work.cleanup()
