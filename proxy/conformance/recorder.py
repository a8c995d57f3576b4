"""A target that keeps every byte it is sent and answers with the bytes it is told to."""

import socket
import struct
import threading

from wire import Requests

OK = [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"]
CANARY = b"/canary"
CANARY_ANSWER = [b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\ncanary"]
PROBE = b"/probe"
BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class Target:
    """Listens on a port of its own until it is closed."""

    def __init__(self, name, replies=(), when="end"):
        self.name, self.replies, self.when = name, list(replies), when
        self.answered, self.connections, self.lock = 0, [], threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.threads, self.sockets = [], []
        self.accepting = threading.Thread(target=self.accept, daemon=True)
        self.accepting.start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sockets.append(connection)
            thread = threading.Thread(target=self.serve, args=(connection,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def serve(self, connection):
        requests = Requests()
        with self.lock:
            self.connections.append(requests)
        try:
            while data := connection.recv(65536):
                requests.feed(data)
                for event in requests.events():
                    if not self.answer(connection, requests.messages[-1], event):
                        return
                if requests.fault:
                    connection.sendall(BAD_REQUEST)
                    return
        except OSError:
            pass
        finally:
            connection.close()

    def answer(self, connection, request, event):
        """False if the connection is to be closed."""
        target = request.start[1]
        if target == PROBE:
            if event == "end":
                connection.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s"
                                   % (len(self.name), self.name.encode()))
            return event != "end"
        early = self.when == "head" and target != CANARY
        if event != ("head" if early else "end"):
            return True
        return perform(connection, self.reply(target))

    def reply(self, target):
        if target == CANARY:
            return CANARY_ANSWER
        with self.lock:
            turn, self.answered = self.answered, self.answered + 1
        return self.replies[min(turn, len(self.replies) - 1)] if self.replies else OK

    def close(self):
        """Ends every connection, and returns what came on each: those of a probe are not of interest."""
        # Only this wakes a thread that accepts.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.accepting.join()
        for connection in self.sockets:
            try:
                # What has come is still read.
                connection.shutdown(socket.SHUT_RD)
            except OSError:
                pass
        for thread in self.threads:
            thread.join()
        for requests in self.connections:
            # Where the answer came early there is more to read.
            for _ in requests.events():
                pass
        of_probe = lambda requests: any(message.start[1] == PROBE for message in requests.messages)
        return [requests for requests in self.connections if requests.raw and not of_probe(requests)]


def perform(connection, script):
    """Sends bytes and takes steps; false after one that ends the connection."""
    for part in script:
        if part == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if part in ("close", "reset"):
            return False
        connection.sendall(part)
    return True
