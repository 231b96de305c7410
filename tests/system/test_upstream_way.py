# SPDX-License-Identifier: ISC
"""The way to an upstream: SOCKS (microsocks) and HTTP proxies, good and bad;
addresses to connect from. A proxy's trouble pauses the upstream, no message
fails for it."""

import base64
import re
import select
import socket
import threading
import time

import harness
from certificates import Pki
from harness import equal, need_program, wait_until
from smtp_peers import Upstream
from test_relay import delivered_once, start, submit
from test_upstream_tls import explained, private, words


# ---- proxies ------------------------------------------------------------------

def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        return True
    except OSError:
        return False


def microsocks(t, *args):
    program = need_program("microsocks")
    port = harness.ReservedPort(t).port
    process = t.start([program, "-i", "127.0.0.1", "-p", str(port), *args], name="microsocks")
    wait_until(lambda: listens(port), "microsocks to listen")
    process.port = port
    return process


class HttpProxy:
    """CONNECT only. answer: the status line it gives instead of connecting; None: it hangs."""

    def __init__(self, test, user=None, answer="", names=()):
        self.authorization = "Basic " + base64.b64encode(user.encode()).decode() if user else None
        self.answer, self.names = answer, dict(names)
        self.requests = []
        self.closing = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        test.later(self.close)

    def close(self):
        self.closing.set()
        self.listener.close()

    def _accept(self):
        while not self.closing.is_set():
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client:
            request = b""
            while b"\r\n\r\n" not in request:
                data = client.recv(4096)
                if not data:
                    return
                request += data
            lines = request.decode().split("\r\n")
            self.requests.append(lines[0])
            if self.answer is None:
                self.closing.wait(harness.DEADLINE)
            elif self.answer:
                client.sendall(f"HTTP/1.1 {self.answer}\r\nContent-Length: 0\r\n\r\n".encode())
            elif self.authorization and f"Proxy-Authorization: {self.authorization}" not in lines:
                client.sendall(b"HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic realm=\"x\"\r\n"
                               b"Content-Length: 0\r\n\r\n")
            else:
                self._connect(client, lines[0].split()[1])

    def _connect(self, client, target):
        host, _, port = target.rpartition(":")
        try:
            server = socket.create_connection((self.names.get(host, host), int(port)), timeout=5)
        except OSError:
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        client.sendall(b"HTTP/1.1 200 Connection established\r\nX-Looks: like 250 OK\r\n\r\n")
        with server:
            other = {client: server, server: client}
            while not self.closing.is_set():
                for ready in select.select([client, server], [], [], 0.1)[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    other[ready].sendall(data)


def through(t, upstream, url, more="", **options):
    return start(t, upstream, f'proxy = "{url}"\n {more}', **options)


def user(t, name="relay", password="sesame"):
    return f'proxy_user = "{name}"\n proxy_password_file = "{private(t.tmp / "proxy.secret", password)}"\n '


def told_via(relay, ident, upstream, proxy):
    delivered = relay.wait_for("delivered", id=ident)
    equal((delivered["remote"], delivered["via"]), (f"127.0.0.1:{upstream.port}", f"127.0.0.1:{proxy.port}"),
          "remote, via")


def waits(t, relay, upstream, reason, phase="connect"):
    """The reason is told, the upstream pauses, the message stays."""
    ident = submit(relay)
    down = relay.wait_for("upstream_down")
    assert re.search(f"^{phase}: .*{reason}", down["reason"]), down["reason"]
    assert "sesame" not in "\n".join(relay.lines), "the password is in the log"
    still = relay.wait_for("upstream_still_down")
    assert float(still["pause"]) > 0, still
    equal((upstream.received, relay.queue()), ([], [ident]), "received, queue")
    equal((relay.events("failed"), relay.events("deferred")), ([], []), "counted against the message")
    told = explained(t, relay, ident)
    assert words(down["reason"]) in told, told
    return ident


def test_socks(t):
    upstream, proxy = Upstream(t), microsocks(t)
    for scheme in ("socks5", "socks5h"):
        relay = through(t, upstream, f"{scheme}://127.0.0.1:{proxy.port}", name=scheme)
        ident = submit(relay)
        told_via(relay, ident, upstream, proxy)
    equal(len(upstream.messages), 2, "messages")


def test_socks_user(t):
    upstream, proxy = Upstream(t), microsocks(t, "-u", "relay", "-P", "sesame")
    relay = through(t, upstream, f"socks5h://127.0.0.1:{proxy.port}", user(t))
    delivered_once(relay, upstream, submit(relay))


def test_socks_wrong_password(t):
    upstream, proxy = Upstream(t), microsocks(t, "-u", "relay", "-P", "other")
    relay = through(t, upstream, f"socks5h://127.0.0.1:{proxy.port}", user(t))
    waits(t, relay, upstream, "proxy socks5h://127.0.0.1:[0-9]+: it (refused proxy_user or its password|closed the connection)")


def test_socks_wants_a_user(t):
    upstream, proxy = Upstream(t), microsocks(t, "-u", "relay", "-P", "sesame")
    relay = through(t, upstream, f"socks5h://127.0.0.1:{proxy.port}")
    waits(t, relay, upstream, "it (takes no way of authentication that we have|closed the connection)")


def test_socks_target_refused(t):
    """Nobody listens behind it; when somebody does, the mail goes."""
    reserved, proxy = harness.ReservedPort(t), microsocks(t)
    relay = through(t, reserved, f"socks5h://127.0.0.1:{proxy.port}")
    ident = submit(relay)
    down = relay.wait_for("upstream_down")
    assert "the connection was refused there" in down["reason"], down
    relay.wait_for("upstream_still_down")
    upstream = Upstream(t, reserved=reserved)
    delivered_once(relay, upstream, ident)


def test_socks_with_tls(t):
    """The certificate is the server's, for its name; the proxy is asked for that name."""
    ca = Pki(t)
    upstream, proxy = Upstream(t, tls=ca.pair("DNS:localhost").server_context()), microsocks(t)
    relay = t.daemon(config=f'log_level = "debug"\nupstream "main" {{\n remoteaddr = "localhost:{upstream.port}"\n'
                     f' proxy = "socks5h://127.0.0.1:{proxy.port}"\n tls = "required"\n tls_ca_file = "{ca.file}"\n}}\n')
    ident = submit(relay)
    delivered = relay.wait_for("delivered", id=ident)
    equal((delivered["remote"], delivered["verified"]), (f"localhost:{upstream.port}", "yes"), "remote, verified")


def test_socks_goes_and_comes(t):
    """The proxy is killed in the middle of it all, and started again."""
    upstream, proxy = Upstream(t), microsocks(t)
    relay = through(t, upstream, f"socks5h://127.0.0.1:{proxy.port}", 'idle_timeout = "1s"')
    relay.wait_for("completed", id=submit(relay))
    proxy.kill_all()
    ident = submit(relay)
    down = relay.wait_for("upstream_down")
    if "proxy" not in down["reason"]:  # the message was on the old connection before its end was noticed
        down = relay.wait_for("upstream_still_down", reason=re.compile("proxy"))
    assert "Connection refused" in down["reason"], down
    t.start([need_program("microsocks"), "-i", "127.0.0.1", "-p", str(proxy.port)], name="microsocks-again")
    relay.wait_for("completed", id=ident)
    equal(len(upstream.messages), 2, "messages")


def test_http_connect(t):
    upstream = Upstream(t)
    proxy = HttpProxy(t, user="relay:sesame", names={"mx.invalid": "127.0.0.1"})
    relay = t.daemon(config=f'log_level = "debug"\nupstream "main" {{\n remoteaddr = "mx.invalid:{upstream.port}"\n'
                     f' proxy = "http://127.0.0.1:{proxy.port}"\n {user(t)}\n}}\n')
    ident = submit(relay)
    delivered = relay.wait_for("delivered", id=ident)
    equal((delivered["remote"], delivered["via"]), (f"mx.invalid:{upstream.port}", f"127.0.0.1:{proxy.port}"), "remote, via")
    equal(set(proxy.requests), {f"CONNECT mx.invalid:{upstream.port} HTTP/1.1"}, "requests")
    assert "sesame" not in "\n".join(relay.lines) and "cmVsYXk6" not in "\n".join(relay.lines), "a secret in the log"


def http_refusal(reason, phase="connect", more="", **how):
    def case(t):
        upstream, proxy = Upstream(t), HttpProxy(t, **how)
        relay = through(t, upstream, f"http://127.0.0.1:{proxy.port}", user(t) + more)
        waits(t, relay, upstream, reason, phase)
    return case


test_http_wrong_password = http_refusal(r"it refused proxy_user or its password, or wants one \(407\)", user="relay:other")
test_http_forbidden = http_refusal("it answered 403 to CONNECT", answer="403 Forbidden")
test_http_gateway = http_refusal("it answered 502 to CONNECT", answer="502 Bad Gateway")
test_http_hangs = http_refusal("timed out after 1.000 s waiting for: the proxy to connect us", answer=None,
                               more='connect_timeout = "1s"')


def test_nobody_is_the_proxy(t):
    upstream, reserved = Upstream(t), harness.ReservedPort(t)
    relay = through(t, upstream, f"socks5h://127.0.0.1:{reserved.port}")
    waits(t, relay, upstream, "proxy socks5h://127.0.0.1:[0-9]+: .*Connection refused")


def test_not_a_socks_proxy(t):
    """An SMTP server in its place."""
    upstream, other = Upstream(t), Upstream(t)
    relay = through(t, upstream, f"socks5h://127.0.0.1:{other.port}")
    waits(t, relay, upstream, "not the protocol of the configured kind of proxy")


def test_a_hanging_proxy_does_not_hold_up_others(t):
    """Two addresses cannot share its silence: the other upstream's mail goes at once."""
    slow, fast, proxy = Upstream(t), Upstream(t), HttpProxy(t, answer=None)
    relay = t.daemon(config=f'upstream "slow" {{\n remoteaddr = "127.0.0.1:{slow.port}"\n'
                     f' proxy = "http://127.0.0.1:{proxy.port}"\n}}\n'
                     f'upstream "fast" {{\n remoteaddr = "127.0.0.1:{fast.port}"\n}}\n'
                     'route {\n recipient = "fast.test"\n upstream = "fast"\n}\n')
    submit(relay, rcpts=("a@slow.test",))
    wait_until(lambda: proxy.requests, "the proxy to be asked")
    began = time.monotonic()
    ident = submit(relay, rcpts=("a@fast.test",))
    relay.wait_for("completed", id=ident)
    assert time.monotonic() - began < 10 * harness.SLOW, "it waited for the proxy"


# ---- addresses -------------------------------------------------------------------

def test_source_address(t):
    upstream = Upstream(t)
    seen = []
    upstream.on("connect", lambda session, line: seen.append(session.socket.getpeername()[0]))
    relay = start(t, upstream, 'source_address = { "127.0.0.7", "::1" }')
    delivered_once(relay, upstream, submit(relay))
    equal(set(seen), {"127.0.0.7"}, "connections came from")


def test_source_address_that_is_not_ours(t):
    upstream = Upstream(t)
    relay = start(t, upstream, 'source_address = "192.0.2.1"')
    waits(t, relay, upstream, "source_address: cannot connect from 192.0.2.1: Cannot assign requested address")


def test_source_interface(t):
    upstream = Upstream(t)
    relay = start(t, upstream, 'source_address = "lo"')
    delivered_once(relay, upstream, submit(relay))
    relay = start(t, upstream, 'source_address = "nothing0"', name="none")
    ident = submit(relay)
    assert 'cannot use interface "nothing0": No such device' in relay.wait_for("upstream_down")["reason"]
    equal(relay.queue(), [ident], "queue")


if __name__ == "__main__":
    harness.main(__name__)
