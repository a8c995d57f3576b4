"""Many connections of one client: idle ones, and active ones beside them, in one thread."""

import selectors
import socket
import time

REQUEST = b"GET /ok HTTP/1.1\r\nHost: a\r\n\r\n"
# As many as are opened before any is answered: within a listener's backlog.
AT_ONCE = 100


class Herd:
    """Connections to one address; each asks as often as it is told to."""

    def __init__(self, addr):
        self.addr, self.sockets, self.poll = addr, [], selectors.DefaultSelector()

    def open(self, count, patience_s):
        """Opens that many, each with one answered request; how many were before nothing came for so long."""
        deadline, begun, answered = time.monotonic() + patience_s, 0, 0
        while answered < count and time.monotonic() < deadline:
            while begun < count and begun - answered < AT_ONCE:
                self.ask(self.connect())
                begun += 1
            for _ in self.answers(0.2):
                answered, deadline = answered + 1, time.monotonic() + patience_s
        return answered

    def connect(self):
        client = socket.create_connection(self.addr, timeout=10)
        client.setblocking(False)
        self.sockets.append(client)
        self.poll.register(client, selectors.EVENT_READ, bytearray())
        return client

    def ask(self, client):
        client.send(REQUEST)

    def answers(self, patience_s):
        """The sockets on which a whole answer has come; raises on any other."""
        for key, _ in self.poll.select(patience_s):
            data = key.fileobj.recv(65536)
            if not data:
                raise ConnectionError("an idle connection was closed")
            key.data.extend(data)
            if key.data.endswith(b"\r\n\r\nok"):
                if not key.data.startswith(b"HTTP/1.1 200 "):
                    raise ConnectionError(f"answered {bytes(key.data[:60])!r}")
                key.data.clear()
                yield key.fileobj

    def work(self, requests, patience_s):
        """All of them ask at once, each that often; how many answers came before nothing came for so long."""
        left = {client: requests for client in self.sockets}
        for client in self.sockets:
            self.ask(client)
        deadline, done = time.monotonic() + patience_s, 0
        while done < requests * len(left) and time.monotonic() < deadline:
            for client in self.answers(0.2):
                done, deadline = done + 1, time.monotonic() + patience_s
                left[client] -= 1
                if left[client]:
                    self.ask(client)
        return done

    def close(self):
        self.poll.close()
        for client in self.sockets:
            client.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
