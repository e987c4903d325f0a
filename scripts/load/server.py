"""Starts an example server, tells where it listens, stops it and sees that it ends well.

Shared by with-server and the measuring scripts.  Linux only: it reads /proc.  Python 3.11 or newer.
"""

import json
import os
import queue
import re
import shlex
import subprocess
import threading
import time
import urllib.request
from urllib.parse import urlsplit

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
READY = re.compile(r"(\w+) (\w+://\S+)$")
NAMES = {"websocket": "WS"}  # what a line's first word is called in MCP_…_URL


class Failed(Exception):
    """The server did not do what it should; the message says what."""


def stop_on_signals():
    """Has SIGTERM and SIGHUP unwind like Control-C does, so that what was started is stopped."""
    import signal

    def unwind(number, frame):
        raise SystemExit(128 + number)
    signal.signal(signal.SIGTERM, unwind)
    signal.signal(signal.SIGHUP, unwind)


def add_options(parser):
    """The options with which every script here says what server it wants."""
    parser.add_argument("--example", default="everything", metavar="NAME",
                        help="the example to build and run (default everything)")
    parser.add_argument("--features", metavar="LIST", help="build it with these features ('all' for all)")
    parser.add_argument("--profile", default="release", metavar="NAME", help="build it in this profile (default release)")
    parser.add_argument("--program", metavar="COMMAND",
                        help="run this instead of an example: any server that prints the same lines")
    parser.add_argument("--server-args", default="", metavar="'…'", help="more options for the server")


def build(example, features=None, profile="release"):
    """Builds an example and returns the path of its program."""
    command = [os.environ.get("CARGO", "cargo"), "build", "--example", example, "--profile", profile,
               "--message-format", "json-render-diagnostics"]
    if features == "all":
        command.append("--all-features")
    elif features is not None:
        command += ["--features", features]
    run = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    if run.returncode:
        raise Failed("cargo could not build the example %s" % example)
    for line in run.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == example:
            return message["executable"]
    raise Failed("cargo names no program for the example %s" % example)


class Server:
    """A running server.  `urls` maps the first word of its ready lines to the URL."""

    def __init__(self, options, more={}, wait_for=("websocket",), limit=120, stop_limit=5, prefix=(), quiet=False):
        """`more` are options of the caller's (--server-args win; None for those without a value), `prefix` is a command that runs the rest of its words."""
        command = shlex.split(options.program) if options.program else [
            build(options.example, options.features, options.profile)]
        given = shlex.split(options.server_args)
        if not has(given, "--listen"):
            given = ["--listen", "127.0.0.1:0"] + given
        for option, value in more.items():
            if not has(given, option):
                given += [option] if value is None else [option, str(value)]
        self.command = list(prefix) + command + given
        wait_for = set(wait_for)
        if has(given, "--health"):
            wait_for.add("health")
        self.stop_limit = stop_limit
        self.urls = {}
        self.lines = queue.Queue()
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
            stderr=subprocess.DEVNULL if quiet else None,
            # Control-C is ours to pass on.  No session of its own: Linux gives each session the same share of the
            # processors (autogroup), and what is measured would be how little of that a crowd leaves for one thread.
            process_group=0)
        try:
            threading.Thread(target=self._read, daemon=True).start()
            self._wait(wait_for, time.monotonic() + limit, limit)
        except BaseException:
            self.kill()
            raise

    def _read(self):
        # Goes on for as long as the server lives, so that its writes never block.
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def _wait(self, missing, deadline, limit):
        while missing:
            try:
                line = self.lines.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                raise Failed("no line '%s URL' within %d s" % (" / ".join(sorted(missing)), limit)) from None
            if line is None:
                status = self.process.wait()
                raise Failed("the server ended (%s) before it was ready" % describe(status))
            found = READY.match(line)
            if found:
                self.urls[found[1]] = found[2]
                missing.discard(found[1])

    @property
    def pid(self):
        return self.process.pid

    def environment(self):
        names = {"MCP_%s_URL" % NAMES.get(word, word.upper()): url for word, url in self.urls.items()}
        return dict(names, MCP_SERVER_PID=str(self.pid))

    def stop(self):
        """SIGTERM; returns the seconds it took to end.  Raises Failed when it did not end well."""
        early = self.process.poll()
        if early is not None:
            raise Failed("the server ended by itself (%s)" % describe(early))
        started = time.monotonic()
        self.process.terminate()
        try:
            status = self.process.wait(self.stop_limit)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed("the server had not ended %g s after SIGTERM; killed" % self.stop_limit) from None
        if status:
            raise Failed("the server ended with %s" % describe(status))
        return time.monotonic() - started

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    # ------------------------------------------------------- what /proc tells

    def status(self):
        """Threads, open descriptors, and memory in MiB: now and at its peak."""
        fields = {}
        with open("/proc/%d/status" % self.pid) as f:
            for line in f:
                name, _, value = line.partition(":")
                fields[name] = value.split()
        return {"threads": int(fields["Threads"][0]), "fds": len(os.listdir("/proc/%d/fd" % self.pid)),
                "rss": int(fields["VmRSS"][0]) / 1024, "peak": int(fields["VmHWM"][0]) / 1024}

    def cpu(self):
        """Seconds of processor time so far."""
        with open("/proc/%d/stat" % self.pid) as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def sockets(self):
        """The open connections to its WebSocket port: peer's port -> octets not yet taken by the peer."""
        port = urlsplit(self.urls["websocket"]).port
        found = {}
        for family in "tcp", "tcp6":
            with open("/proc/%d/net/%s" % (self.pid, family)) as f:
                next(f)
                for line in f:
                    fields = line.split()
                    local, remote = (int(fields[n].rpartition(":")[2], 16) for n in (1, 2))
                    # Inode 0: no descriptor refers to it any more, only the kernel's own clean-up.
                    if local == port and fields[3] == "01" and fields[9] != "0":
                        found[remote] = int(fields[4].partition(":")[0], 16)
        return found

    def health(self):
        """What the health endpoint says, when there is one."""
        if "health" in self.urls:
            try:
                with urllib.request.urlopen(self.urls["health"], timeout=5) as answer:
                    return answer.read(2000).decode("utf-8", "replace").strip()
            except OSError as error:
                return "health: %s" % error
        return None


def has(words, option):
    return any(word == option or word.startswith(option + "=") for word in words)


def describe(status):
    return "signal %d" % -status if status < 0 else "exit status %d" % status


class Report:
    """Checks, counted for the closing line."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, good, text):
        self.passed += bool(good)
        self.failed += not good
        print("%s %s" % ("pass  " if good else "FAILED", text), flush=True)

    def end(self):
        print("\n%d passed, %d failed" % (self.passed, self.failed), flush=True)
        return 1 if self.failed else 0


def measure(body, report, options, **how):
    """Runs `body(server)` against a fresh server; its end counts as one more check."""
    try:
        server = Server(options, **how)
    except Failed as error:
        report.check(False, str(error))
        return
    try:
        body(server)
        report.check(True, "the server ended %.2f s after SIGTERM, with exit status 0" % server.stop())
    except (Failed, OSError) as error:
        report.check(False, "%s: %s" % (type(error).__name__, error))
    finally:
        server.kill()
