"""The client that is served while others misbehave: one request every few milliseconds, now and then on a new connection.

A second one asks the target itself. What both suffer from is the target or the machine, so the one's times are held against the other's.
"""

import http.client
import threading
import time

GAP_S = 0.01
# Every so many requests on a new connection: a proxy that accepts no more would otherwise not be found out.
NEW_EVERY = 10
# A request that takes longer has failed.
TIMEOUT_S = 10
# What the proxy may add at p99, and as many times what the target itself takes as there are waits on the way: on two cores that the
# target and the clients share with it. Beside 250 clients that ask for a megabyte each p99 is 4 to 25 ms; it was up to 260 ms when
# connections did not take turns.
ADDED_MS, TIMES = 100, 4


class Bystander:
    """Asks from the beginning of a `with` to its end."""

    def __init__(self, addr):
        self.addr, self.times, self.errors, self.over = addr, [], [], threading.Event()
        self.thread = threading.Thread(target=self.ask_on, daemon=True)

    def ask_on(self):
        connection, n = None, 0
        while not self.over.is_set():
            began = time.monotonic()
            try:
                if connection is None or n % NEW_EVERY == 0:
                    connection = http.client.HTTPConnection(*self.addr, timeout=TIMEOUT_S)
                connection.request("GET", "/ok")
                answer = connection.getresponse()
                if (answer.status, answer.read()) != (200, b"ok"):
                    self.errors.append(f"status {answer.status}")
            except (OSError, http.client.HTTPException) as error:
                self.errors.append(repr(error))
                connection = None
            self.times.append(time.monotonic() - began)
            n += 1
            self.over.wait(max(0, GAP_S - (time.monotonic() - began)))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def percentile_ms(self, share):
        times = sorted(self.times)
        return times[min(int(len(times) * share), len(times) - 1)] * 1e3


class Service:
    """Whether another client is served through the proxy, from the beginning of a `with` to its end."""

    def __init__(self, proxy_addr, target_addr):
        self.through, self.direct = Bystander(proxy_addr), Bystander(target_addr)

    def __enter__(self):
        self.direct.__enter__()
        self.through.__enter__()
        return self

    def __exit__(self, *_):
        self.through.__exit__()
        self.direct.__exit__()

    def asked(self):
        return len(self.through.times)

    def said(self):
        one = self.through
        return (f"another client: {len(one.times)} requests, {len(one.errors)} failed {one.errors[:2]}, p50 {one.percentile_ms(.5):.1f} ms, "
                f"p99 {one.percentile_ms(.99):.1f} ms (without the proxy {self.direct.percentile_ms(.99):.1f} ms)")

    def well(self):
        return not self.through.errors and self.through.percentile_ms(.99) <= TIMES * self.direct.percentile_ms(.99) + ADDED_MS
