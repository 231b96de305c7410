# SPDX-License-Identifier: ISC
"""Logins a second, and the memory of the processes that verify them. Posthouse alone: Postfix has none of its own."""
import base64
import concurrent.futures
import multiprocessing
import os
import shutil
import socket
import statistics
import subprocess
import time

from measures import Running, smaps
from procs import BenchError, ClosedPort
from relays import Posthouse

PASSWORD = "correct horse"
CLIENTS = 8


class Login:
    """A connection that has said EHLO."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")
        self.reply()
        self.say("EHLO bench.example")

    def reply(self):
        while (line := self.file.readline())[3:4] == b"-":
            pass
        return line[:3].decode()

    def say(self, line):
        self.socket.sendall(f"{line}\r\n".encode())
        return self.reply()

    def close(self):
        self.file.close()
        self.socket.close()


def log_in(port, user, until):
    """Connection, EHLO, AUTH PLAIN unless user is None, QUIT, again; how many were done by then."""
    token = base64.b64encode(f"\0{user}\0{PASSWORD}".encode()).decode()
    done = 0
    while time.monotonic() < until:
        session = Login(port)
        if user and session.say(f"AUTH PLAIN {token}") != "235":
            raise BenchError("a login failed")
        session.say("QUIT")
        session.close()
        done += time.monotonic() < until
    return done


def users_file(bench, relay):
    path = os.path.join(bench.folder, "users")
    if os.path.exists(path):
        return path
    tool = os.path.join(os.path.dirname(relay.program), "posthouse")
    subprocess.run([tool, "user", "--file", path, "--stdin", "add", "yescrypt"], input=PASSWORD.encode(), check=True,
                   capture_output=True)
    # the cheapest there is: what is left is our own work
    md5 = subprocess.run(["openssl", "passwd", "-1", "-salt", "abcdefgh", PASSWORD], capture_output=True, check=True)
    with open(path, "a", encoding="ascii") as f:
        f.write(f"cheap:{md5.stdout.decode().strip()}\n")
    os.chmod(path, 0o600)
    if os.geteuid() == 0:
        shutil.chown(path, "bin")
    return path


def auth_and_children(relay):
    """The auth process and those of its exchanges."""
    found = {}
    for pid in relay.child.family():
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            title = f.read().replace(b"\0", b" ").decode("latin-1").strip()
        if title.startswith("posthoused: auth"):
            found[pid] = title == "posthoused: auth"
    auth = [pid for pid, is_it in found.items() if is_it]
    return auth[0], [pid for pid in found if pid not in auth]


def measure_rate(bench, relay, pool, user):
    until = time.monotonic() + bench.pick(4, 1.5)
    began = time.monotonic()
    work = [pool.submit(log_in, relay.port, user, until) for _ in range(CLIENTS)]
    done = sum(w.result() for w in work)
    rate = done / (until - began)
    cell = user or "none"
    bench.add("auth", cell, relay.name, rate)
    bench.say(f"auth {cell}: {relay.name} {rate:.0f}/s")


def measure_exchanges(bench, relay):
    sessions = [Login(relay.port) for _ in range(50)]
    for session in sessions:
        session.say("AUTH LOGIN")
    auth, children = auth_and_children(relay)
    if len(children) < 50:
        raise BenchError(f"{len(children)} of 50 exchanges found")
    bench.add("auth", "pss child", relay.name, statistics.median(smaps(pid)["Pss"] for pid in children))
    for session in sessions:
        session.close()
    time.sleep(0.3)
    bench.add("auth", "pss", relay.name, smaps(auth)["Pss"])


def measure_auth(bench):
    upstream = ClosedPort()
    with concurrent.futures.ProcessPoolExecutor(CLIENTS, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(time.sleep, [0.2] * CLIENTS))  # until the clients are there
        for _ in range(bench.pick(3, 1)):
            for relay in bench.relays:
                if not isinstance(relay, Posthouse):
                    continue
                relay.more = ('auth = offered\nauth_without_tls = yes\nlimits_exempt = "127.0.0.0/8"\n'
                              f'auth_users_file = "{users_file(bench, relay)}"\n')
                if os.geteuid() == 0:
                    relay.more += 'auth_user = "bin"\n'
                with Running(bench, relay, upstream.port):
                    measure_rate(bench, relay, pool, None)
                    measure_rate(bench, relay, pool, "cheap")
                    measure_rate(bench, relay, pool, "yescrypt")
                    measure_exchanges(bench, relay)
                relay.more = ""
    upstream.close()
