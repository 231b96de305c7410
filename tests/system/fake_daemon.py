# SPDX-License-Identifier: ISC
"""A daemon that is none: it listens on SPOOL/view, speaks manage/protocol.h as
a test wants it (also wrongly), and is stopped and started at will."""

import json
import os
import socket
import threading
import time

from harness import DEADLINE

NOW = int(time.time())

STATUS = {
    "version": "0.1.0", "pid": 4712, "master_pid": 4711, "hostname": "relay.test", "spool": "/spool",
    "started": NOW - 7200, "now": NOW,
    "queue": {"messages": 12, "due": 3, "waiting": 5, "in_flight": 2, "held": 1, "failed": 1, "unsaved": 0,
              "oldest_arrived": NOW - 180},
    "rates": {name: {"total": total, "minute": minute} for name, total, minute in (
        ("queued", 100, 10), ("delivered", 80, 9), ("deferred", 5, 1), ("failed", 1, 0), ("expired", 0, 0),
        ("uncertain", 0, 0))},
    "suspended": None,
    "upstreams": [
        {"name": "main", "state": "up", "remotes": [
            {"remoteaddr": "smtp.example.net:587", "weight": 1, "state": "up", "connections": 3, "failures": 0,
             "paused_until": None, "last_trouble": None, "last_trouble_at": None}],
         "connections": 3, "connections_allowed": 10, "max_connections": 10, "in_flight": 2, "waiting": 1, "due": 3,
         "messages_per_minute": 60, "slowed": False, "last_delivered": NOW - 5, "last_trouble": None,
         "suspension": None},
        {"name": "billing", "state": "paused", "remotes": [
            {"remoteaddr": "billing.example.net:25", "weight": 0, "state": "paused", "connections": 0, "failures": 4,
             "paused_until": NOW + 300, "last_trouble": "connection refused", "last_trouble_at": NOW - 20}],
         "connections": 0, "connections_allowed": 0, "max_connections": 5, "in_flight": 0, "waiting": 4, "due": 0,
         "messages_per_minute": 0, "slowed": True, "last_delivered": None, "last_trouble": "connection refused",
         "suspension": {"since": NOW - 60, "until": NOW + 1800, "reason": "maintenance", "by": "uid=0"}}],
    "workers": [
        {"pid": 5001, "state": "idle", "peer": None, "verb": None, "since": NOW - 60, "sessions": 4, "accepted": 9,
         "rejected": 1},
        {"pid": 5002, "state": "busy", "peer": "192.0.2.1:4711", "verb": "DATA", "since": NOW - 2, "sessions": 7,
         "accepted": 3, "rejected": 0}],
    "processes": [{"role": "master", "pid": 4711}, {"role": "relay", "pid": 4712}],
}


class FakeDaemon:
    """answers: by question; a dict (a line with "end"), a list of dicts, bytes (as they are), or None (silence).
    A `watch` stays open behind its answer until the end, and takes more of send()."""

    def __init__(self, test, spool, answers=None):
        self.answers = {"status": STATUS, "flight": {"flight": []}, **(answers or {})}
        self.path = os.path.join(spool, "view")
        self.asked = []
        self.watchers = []
        self.connections = []
        self.changed = threading.Condition()
        self.listener = None
        test.later(self.stop)
        self.start()

    def start(self):
        if os.path.lexists(self.path):
            os.unlink(self.path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(16)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def stop(self):
        listener, self.listener = self.listener, None
        if listener is None:
            return
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        with self.changed:
            for connection in self.connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            self.connections, self.watchers = [], []
        os.unlink(self.path)

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self.changed:
                self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            with connection.makefile("rb") as lines:
                for line in lines:
                    question = json.loads(line)["ask"]
                    self._answer(connection, question)
                    with self.changed:
                        self.asked.append(question)
                        if question == "watch":
                            self.watchers.append(connection)
                        self.changed.notify_all()
        except OSError:
            pass
        finally:
            with self.changed:
                for group in (self.connections, self.watchers):
                    if connection in group:
                        group.remove(connection)
            connection.close()

    def _answer(self, connection, question):
        answer = self.answers.get(question, {"watching": True} if question == "watch" else {"error": "what?"})
        if callable(answer):
            answer = answer()
        if answer is None:
            return
        if isinstance(answer, bytes):
            connection.sendall(answer)
            if question != "watch":
                connection.shutdown(socket.SHUT_WR)
            return
        objects = answer if isinstance(answer, list) else [answer]
        for number, one in enumerate(objects, 1):
            end = {"end": True} if number == len(objects) and question != "watch" else {}
            connection.sendall(json.dumps({**one, **end}).encode() + b"\n")

    def wait_asked(self, question, count=1):
        with self.changed:
            if not self.changed.wait_for(lambda: self.asked.count(question) >= count, DEADLINE):
                raise AssertionError(f"nobody asked for {question}: {self.asked}")

    def send(self, *objects):
        """To all who watch."""
        data = b"".join(o if isinstance(o, bytes) else json.dumps(o).encode() + b"\n" for o in objects)
        with self.changed:
            for watcher in self.watchers:
                watcher.sendall(data)
