"""A small WebSocket client that speaks MCP, for load from loopback.

`Client` blocks and belongs to one thread.  `Loop` drives many of them from one
thread: a client given to it becomes non-blocking.  Only what the measuring
scripts need: no TLS, no compression, no reassembly of fragments.
"""

import base64
import heapq
import json
import os
import resource
import select
import selectors
import socket
import struct
import time
from urllib.parse import urlsplit

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
REVISION = "2025-06-18"


def more_descriptors():
    """Lifts the limit on open files, here and for the server started from here."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Gone(Exception):
    """The server closed, refused or reset the connection."""


class Refused(Gone):
    """The server answered the request, but not with an error-free result, or not with 101."""


def frame(opcode, payload, mask=None):
    """One whole masked frame."""
    key = mask or os.urandom(4)
    n = len(payload)
    if n < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | n)
    elif n < 65536:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, n)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, n)
    pad = (key * (n // 4 + 1))[:n]
    return head + key + (int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")).to_bytes(n, "big")


class Frames:
    """Cuts what the server sends into (opcode, payload)."""

    def __init__(self):
        self.data = bytearray()

    def feed(self, data):
        self.data += data
        at, found = 0, []
        while len(self.data) - at >= 2:
            n, start = self.data[at + 1] & 0x7F, at + 2
            if n == 126:
                if len(self.data) < start + 2:
                    break
                n, start = struct.unpack_from("!H", self.data, start)[0], start + 2
            elif n == 127:
                if len(self.data) < start + 8:
                    break
                n, start = struct.unpack_from("!Q", self.data, start)[0], start + 8
            if len(self.data) < start + n:
                break
            found.append((self.data[at] & 0x0F, bytes(self.data[start:start + n])))
            at = start + n
        if at:
            del self.data[:at]
        return found


def reply_to(payload):
    """The JSON of an answer; None for anything else the server may send, big broadcasts unparsed."""
    ends = payload[:256] + payload[-256:]
    if b'"id"' not in ends or b'"method"' in ends:
        return None
    message = json.loads(payload)
    return message if "result" in message or "error" in message else None


def texts(message):
    """What a tool answered, as text."""
    if "error" in message:
        raise Refused("error %s" % json.dumps(message["error"])[:300])
    result = message["result"]
    if result.get("isError"):
        raise Refused("the tool failed: %s" % json.dumps(result)[:300])
    return "".join(part.get("text", "") for part in result.get("content", []))


class Client:
    def __init__(self, url, timeout=10, receive_buffer=None, source=None, tls=None, headers=()):
        """`source` is the address to come from, `tls` an SSLContext for wss://, `headers` are more (name, value) pairs."""
        to = urlsplit(url)
        self.timeout, self.frames, self.waiting, self.last_id = timeout, Frames(), [], 0
        self.socket = socket.socket(socket.AF_INET6 if ":" in to.hostname else socket.AF_INET)
        try:
            self.socket.settimeout(timeout)
            if receive_buffer:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            if source:
                self.socket.bind((source, 0))
            self.socket.connect((to.hostname, to.port))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.port = self.socket.getsockname()[1]
            if to.scheme == "wss":
                self.socket = tls.wrap_socket(self.socket, server_hostname=to.hostname)
            self._upgrade(to, headers)
        except BaseException:
            self.socket.close()
            raise

    def _upgrade(self, to, headers):
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((
            "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Protocol: mcp\r\n%s\r\n"
            % (to.path or "/", to.netloc, key, "".join("%s: %s\r\n" % pair for pair in headers))).encode())
        head, deadline = b"", time.monotonic() + self.timeout
        while b"\r\n\r\n" not in head:
            head += self._recv(deadline)
        head, _, rest = head.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101 "):
            raise Refused(head.split(b"\r\n")[0].decode("latin-1"))
        self.waiting = self.frames.feed(rest)

    def _recv(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer within %g s" % self.timeout)
        self.socket.settimeout(left)
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionError as error:
            raise Gone(str(error)) from None
        if not data:
            raise Gone("end of file")
        return data

    def send(self, message):
        self.socket.settimeout(self.timeout)
        try:
            self.socket.sendall(frame(TEXT, json.dumps(message).encode()))
        except ConnectionError as error:
            raise Gone(str(error)) from None

    def request(self, method, params):
        """Sends a request and waits for its answer, past whatever else comes."""
        message = self.next_request(method, params)
        self.send(message)
        deadline = time.monotonic() + self.timeout
        while True:
            while self.waiting:
                opcode, payload = self.waiting.pop(0)
                if opcode == PING:
                    self.socket.sendall(frame(PONG, payload))
                elif opcode == CLOSE:
                    raise Gone("closed by the server: %s" % close_reason(payload))
                elif opcode == TEXT:
                    answer = reply_to(payload)
                    if answer and answer["id"] == message["id"]:
                        return answer
            self.waiting = self.frames.feed(self._recv(deadline))

    def next_request(self, method, params):
        self.last_id += 1
        return {"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params}

    def initialize(self):
        answer = self.request("initialize", {"protocolVersion": REVISION, "capabilities": {},
                                             "clientInfo": {"name": "load", "version": "1"}})
        if "error" in answer:
            raise Refused("initialize: %s" % json.dumps(answer["error"]))
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return self

    def call(self, tool, **arguments):
        return texts(self.request("tools/call", {"name": tool, "arguments": arguments}))

    def close(self):
        """The closing handshake, then the end of the socket."""
        try:
            self.socket.settimeout(self.timeout)
            self.socket.sendall(frame(CLOSE, struct.pack("!H", 1000)))
            deadline = time.monotonic() + self.timeout
            while True:
                self._recv(deadline)
        except (Gone, OSError):
            pass
        self.socket.close()

    def reset(self):
        """The end of the socket with an RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def close_reason(payload):
    if len(payload) < 2:
        return "no code"
    return ("%d %s" % (struct.unpack("!H", payload[:2])[0], payload[2:].decode("utf-8", "replace"))).strip()


class Caller:
    """A client in a `Loop` that calls one tool over and over, `pause` seconds after each answer."""

    def __init__(self, loop, client, tool, arguments, pause, name=None):
        self.loop, self.client, self.tool, self.arguments, self.pause = loop, client, tool, arguments, pause
        self.name = name or tool
        self.expected, self.sent_at, self.out = None, None, b""
        self.latencies, self.others, self.refused, self.gone = [], 0, 0, None
        client.socket.setblocking(False)
        loop.selector.register(client.socket, selectors.EVENT_READ, self)

    def start(self, when):
        self.loop.at(when, self.call)

    def call(self):
        if self.gone:
            return
        message = self.client.next_request("tools/call", {"name": self.tool, "arguments": self.arguments})
        self.expected, self.sent_at = message["id"], time.perf_counter()
        self.write(frame(TEXT, json.dumps(message).encode()))

    def write(self, data):
        if not self.gone:
            self.out += data
            self.flush()

    def flush(self):
        try:
            if self.out:
                self.out = self.out[self.client.socket.send(self.out):]
        except BlockingIOError:
            pass
        except OSError as error:
            return self.end(str(error))
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self.out else 0)
        self.loop.selector.modify(self.client.socket, wanted, self)

    def ready(self, events):
        if events & selectors.EVENT_WRITE:
            self.flush()
        if not events & selectors.EVENT_READ or self.gone:
            return
        try:
            data = self.client.socket.recv(1 << 20)
        except BlockingIOError:
            return
        except OSError as error:
            return self.end(str(error))
        if not data:
            return self.end("end of file")
        now = time.perf_counter()
        for opcode, payload in self.client.frames.feed(data):
            if opcode == PING:
                self.write(frame(PONG, payload))
            elif opcode == CLOSE:
                return self.end(close_reason(payload))
            elif opcode == TEXT:
                answer = reply_to(payload)
                if answer is None or answer["id"] != self.expected:
                    self.others += 1
                    continue
                self.expected = None
                try:
                    texts(answer)
                    self.latencies.append(now - self.sent_at)
                except Refused:
                    self.refused += 1
                self.loop.at(max(time.monotonic(), self.loop.now + self.pause), self.call)

    def end(self, why):
        self.gone = why
        self.loop.selector.unregister(self.client.socket)
        self.client.socket.close()


class Loop:
    """Sockets and times, in one thread."""

    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self.times, self.count = [], 0
        self.now = time.monotonic()

    def at(self, when, action):
        self.count += 1
        heapq.heappush(self.times, (when, self.count, action))

    def every(self, seconds, action):
        """Until the action returns False."""
        def again():
            if action() is not False:
                self.at(self.now + seconds, again)
        self.at(self.now, again)

    def run(self, deadline, done=lambda: False):
        while not done():
            self.now = time.monotonic()
            if self.now >= deadline:
                return
            while self.times and self.times[0][0] <= self.now:
                heapq.heappop(self.times)[2]()
            soonest = min(deadline, self.times[0][0]) if self.times else deadline
            for key, events in self.selector.select(max(0, soonest - time.monotonic())):
                key.data.ready(events)


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def within(seconds, condition, step=0.05):
    """Polls until the condition holds; its last value."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() >= deadline:
            return value
        select.select([], [], [], step)
