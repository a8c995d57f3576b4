"""A server that notes when each request arrived: `recorder.py PORT FILE`; writes the file at SIGTERM, one instant per line.

The instant is the kernel's (SO_TIMESTAMPNS: when the segment came in), so that this process may be slow. It is of CLOCK_REALTIME;
only differences are used, over seconds.
"""

import select
import signal
import socket
import struct
import sys
import time

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: keep-alive\r\n\r\nyes"
# Python's socket module has no name for it.
SO_TIMESTAMPNS = 35
ROOM = socket.CMSG_SPACE(16)


def arrival(notes):
    for level, kind, data in notes:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, ns = struct.unpack("@qq", data[:16])
            return seconds * 1_000_000_000 + ns
    return time.clock_gettime_ns(time.CLOCK_REALTIME)


def main(port, path):
    arrivals = []

    def end(*_):
        with open(path, "w") as f:
            f.writelines(f"{at}\n" for at in sorted(arrivals))
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Connections inherit it.
    listener.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(4096)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    clients = {}
    while True:
        for fd, _ in poll.poll():
            if fd == listener.fileno():
                client, _ = listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                clients[client.fileno()] = client
                poll.register(client, select.EPOLLIN)
                continue
            client = clients[fd]
            try:
                head, notes, _, _ = client.recvmsg(65536, ROOM)
                if head:
                    arrivals.append(arrival(notes))
                    client.send(ANSWER)
                    continue
            except OSError:
                pass
            poll.unregister(fd)
            clients.pop(fd).close()


main(int(sys.argv[1]), sys.argv[2])
