# SPDX-License-Identifier: ISC
"""Mailman for the tests: the real core of Mailman 3 (Debian package mailman3) with a folder, a database and ports of its
own, and a REST API that is scripted, for what a real one does not do when it is told to."""

import base64
import http.client
import http.server
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse

from harness import DEADLINE, Skip, wait_until

MASTER = "/usr/lib/mailman3/bin/master"
USER, PASSWORD = "restadmin", "rest secret"

CONFIG = """
[mailman]
site_owner: postmaster@example.org
layout: test
[paths.test]
var_dir: {dir}/var
queue_dir: $var_dir/queue
log_dir: $var_dir/logs
lock_dir: $var_dir/locks
data_dir: $var_dir/data
cache_dir: $var_dir/cache
etc_dir: $var_dir/etc
messages_dir: $var_dir/messages
archive_dir: $var_dir/archives
template_dir: $var_dir/templates
pid_file: $var_dir/master.pid
lock_file: $lock_dir/master.lck
bin_dir: /usr/lib/mailman3/bin
[webservice]
hostname: 127.0.0.1
port: {rest}
workers: 1
admin_user: {user}
admin_pass: {password}
[mta]
incoming: mailman.mta.postfix.LMTP
outgoing: mailman.mta.deliver.deliver
lmtp_host: 127.0.0.1
lmtp_port: {lmtp}
smtp_host: 127.0.0.1
smtp_port: {smtp}
configuration: {dir}/postfix.cfg
"""
# what a test has no use for
UNUSED = ("archive", "bounces", "command", "digest", "nntp", "retry", "task", "virgin")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Mailman:
    """
    .url, .lmtp_port, .password_file     for the configuration
    .smtp_port                           where it sends what it has to send: listen there, or say which port it is
    """

    def __init__(self, test, maps="hash", smtp_port=None):
        if not os.path.exists(MASTER):
            raise Skip(f"{MASTER} is missing (Debian package mailman3)")
        self.test = test
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="posthouse-mailman-"))
        test.later(self.remove)
        self.user = None
        if os.geteuid() == 0:  # it wants to be nobody special
            self.user = next((u for u in ("list", "nobody") if self.account(u)), None)
        self.rest_port, self.lmtp_port = free_port(), free_port()
        self.smtp_port = smtp_port or free_port()
        self.url = f"http://127.0.0.1:{self.rest_port}/3.1"
        self.password_file = test.tmp / "mailman-password"
        self.password_file.write_text(PASSWORD + "\n")
        self.password_file.chmod(0o600)
        self.data = self.dir / "var/data"
        text = CONFIG.format(dir=self.dir, rest=self.rest_port, lmtp=self.lmtp_port, smtp=self.smtp_port, user=USER,
                             password=PASSWORD)
        text += "".join(f"[runner.{r}]\nstart: no\n" for r in UNUSED)
        (self.dir / "mailman.cfg").write_text(text)
        (self.dir / "postfix.cfg").write_text(f"[postfix]\npostmap_command: /bin/true\ntransport_file_type: {maps}\n")
        self.dir.chmod(0o755)
        if self.user:
            for path in (self.dir, *self.dir.iterdir()):
                shutil.chown(path, self.user, self.account(self.user).pw_gid)
        self.process = None
        self.start()

    @staticmethod
    def account(name):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            return None

    def start(self):
        options = {}
        if self.user:
            options = {"user": self.user, "group": self.account(self.user).pw_gid, "extra_groups": []}
        self.log = open(self.dir / "output", "ab")
        self.process = subprocess.Popen([MASTER, "-C", str(self.dir / "mailman.cfg")], stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=subprocess.STDOUT, cwd=self.dir,
                                        start_new_session=True, **options)

        def answers():
            if self.process.poll() is not None:
                raise AssertionError("Mailman ended: " + (self.dir / "output").read_text()[-2000:])
            try:
                if self.data.is_dir():
                    for folder in (self.data.parent, self.data):  # for the maps
                        folder.chmod(0o755)
                with socket.create_connection(("127.0.0.1", self.lmtp_port), timeout=1):
                    return self.request("GET", "/system/versions")[0] == 200
            except OSError:
                return False
        wait_until(answers, "Mailman's REST API and LMTP server", 4 * DEADLINE)  # a dozen Pythons start

    def stop(self):
        """Ends it, in an orderly way if it lets us."""
        if self.process is None:
            return
        self.resume()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.log.close()
        self.process = None
        for lock in (self.dir / "var/locks").glob("master*"):
            lock.unlink()

    def freeze(self):
        """Connections are taken by the kernel, and nothing more happens."""
        os.killpg(self.process.pid, signal.SIGSTOP)

    def resume(self):
        try:
            os.killpg(self.process.pid, signal.SIGCONT)
        except ProcessLookupError:
            pass

    def remove(self):
        try:
            self.stop()
        finally:
            if not os.environ.get("PH_KEEP"):
                shutil.rmtree(self.dir, ignore_errors=True)

    # -- its REST API

    def request(self, method, path, **form):
        connection = http.client.HTTPConnection("127.0.0.1", self.rest_port, timeout=DEADLINE)
        word = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        try:
            connection.request(method, f"/3.1{path}", urllib.parse.urlencode(form) if form else None,
                               {"Authorization": f"Basic {word}",
                                **({"Content-Type": "application/x-www-form-urlencoded"} if form else {})})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def must(self, method, path, **form):
        status, body = self.request(method, path, **form)
        assert status in (200, 201, 202, 204), f"{method} {path} {form}: {status} {body[:300]!r}"
        return body

    def add_domain(self, name, alias=None):
        self.must("POST", "/domains", mail_host=name, **({"alias_domain": alias} if alias else {}))

    def add_list(self, name):
        self.must("POST", "/lists", fqdn_listname=name)
        # anybody may post: what is tested is who gets mail, not who may send it
        self.must("PATCH", f"/lists/{name}/config", default_nonmember_action="accept", digests_enabled="False",
                  dmarc_mitigate_action="no_mitigation", archive_policy="never")

    def remove_list(self, name):
        self.must("DELETE", f"/lists/{name}")

    def add_member(self, list_name, address):
        self.must("POST", "/members", list_id=list_name.replace("@", "."), subscriber=address, pre_verified="True",
                  pre_confirmed="True", pre_approved="True", send_welcome_message="False")

    # -- its queues

    def queued(self, queue):
        """The messages of a queue whose runner does not run, as bytes (a pickle that holds the text)."""
        folder = self.dir / "var/queue" / queue
        return [f.read_bytes() for f in folder.glob("*.pck")] if folder.is_dir() else []


class FakeMailman:
    """
    The REST API of lists and domains, scripted.
      .lists, .domains    what there is: names, and mail_host -> alias_domain or None
      .requests           path and query of each request, with its moment
      .on(answer, times)  instead of the ordinary answer: (status, body), "close", "stall", or a function(path) of these
    """

    def __init__(self, test, lists=(), domains=None, port=0):
        self.lists, self.domains = list(lists), dict(domains or {})
        for name in self.lists:
            self.domains.setdefault(name.partition("@")[2], None)
        self.requests, self.rules = [], []
        self.password = PASSWORD
        self.changed = threading.Condition()
        self.closing = threading.Event()
        handler = type("Handler", (_Handler,), {"owner": self})
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
        self.http.daemon_threads = True
        self.port = self.http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/3.1"
        self.password_file = test.tmp / "mailman-password"
        self.password_file.write_text(PASSWORD + "\n")
        self.password_file.chmod(0o600)
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.is_open = True
        test.later(self.close)

    def close(self):
        if self.is_open:
            self.is_open = False
            self.closing.set()
            self.http.shutdown()
            self.http.server_close()

    def on(self, answer, times=None):
        with self.changed:
            self.rules.insert(0, [answer, times])

    def clear(self):
        with self.changed:
            self.rules.clear()

    def count(self, path="/3.1/lists"):
        with self.changed:
            return sum(r.partition("?")[0] == path for r, _ in self.requests)

    def wait_requests(self, count, path="/3.1/lists"):
        wait_until(lambda: self.count(path) >= count, f"{count} requests for {path}")

    def page(self, path):
        name, _, query = path.partition("?")
        form = urllib.parse.parse_qs(query)
        count, page = int(form["count"][0]), int(form["page"][0])
        if name == "/3.1/lists":
            entries = [{"fqdn_listname": n, "list_name": n.partition("@")[0], "mail_host": n.partition("@")[2]}
                       for n in self.lists]
        elif name == "/3.1/domains":
            entries = [{"mail_host": host, "alias_domain": alias} for host, alias in self.domains.items()]
        else:
            return 404, b"{}"
        first = (page - 1) * count
        body = {"start": first, "total_size": len(entries)}
        if entries[first:first + count]:
            body["entries"] = entries[first:first + count]
        return 200, json.dumps(body).encode()

    def answer(self, path, authorization):
        with self.changed:
            self.requests.append((path, time.monotonic()))
            self.changed.notify_all()
            for rule in self.rules:
                if rule[1] != 0:
                    rule[1] = rule[1] - 1 if rule[1] is not None else None
                    action = rule[0](path) if callable(rule[0]) else rule[0]
                    if action is not None:
                        return action
            word = base64.b64encode(f"{USER}:{self.password}".encode()).decode()
            if authorization != f"Basic {word}":
                return 401, b'{"title": "401 Unauthorized"}'
            return self.page(path)


class _Handler(http.server.BaseHTTPRequestHandler):
    owner = None

    def do_GET(self):
        answer = self.owner.answer(self.path, self.headers.get("Authorization"))
        if answer == "stall":
            self.owner.closing.wait(DEADLINE)
            answer = "close"
        if answer == "close":
            self.close_connection = True
            return
        status, body = answer
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            pass

    def log_message(self, *args):
        pass
