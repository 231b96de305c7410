# SPDX-License-Identifier: ISC
"""An OAuth 2 authorization server of our own for the tests: token, device and introspection endpoints over http or
https on 127.0.0.1, with scripted faults."""

import http.server
import json
import threading
import time
import urllib.parse
from base64 import b64decode

from harness import DEADLINE

HTML = (503, "text/html", b"<!DOCTYPE html>\n<html><title>503</title>Service Unavailable</html>")


def error(name, description=None, status=400, **more):
    """An answer of RFC 6749 5.2."""
    body = {"error": name, **({"error_description": description} if description else {}), **more}
    return status, "application/json", json.dumps(body).encode()


class Request:
    def __init__(self, path, form, headers):
        self.path, self.form, self.headers = path, form, headers
        self.when = time.monotonic()

    def __repr__(self):
        return f"<{self.path} {self.form}>"


class TokenServer:
    """
    .tokens     access tokens that are good, each with the monotonic time of its end
    .refresh    refresh tokens that are good
    .requests   every request, in that order
    .rotate     a refresh gives a new refresh token, and the old one is worth nothing from then on
    .lifetime   of access tokens, seconds; .says: what is said of it (default: the same)
    .pending    how often a device code is answered with authorization_pending
    """

    def __init__(self, test, tls=None, client=("client", "hush"), lifetime=3600):
        self.client, self.lifetime, self.says, self.rotate, self.pending = client, lifetime, ..., False, 0
        self.device = {"device_code": "dc", "user_code": "WDJB-MJHT", "verification_uri": "https://example.test/device",
                       "expires_in": 900, "interval": 1}
        self.tokens, self.refresh, self.requests, self.rules = {}, {"rt-0"}, [], []
        self.count = 0
        self.changed = threading.Condition()
        self.closing = threading.Event()
        handler = type("Handler", (_Handler,), {"owner": self})
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler, bind_and_activate=True)
        self.http.daemon_threads = True
        if tls:
            self.http.socket = tls.wrap_socket(self.http.socket, server_side=True)
        self.port = self.http.server_address[1]
        self.base = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        test.later(self.close)

    def close(self):
        self.closing.set()
        self.http.shutdown()
        self.http.server_close()

    def on(self, path, action, times=None):
        """In front of the others: (status, type, body), or a function(request) that returns that or None."""
        with self.changed:
            self.rules.insert(0, [path, action, times])

    def clear(self):
        with self.changed:
            self.rules.clear()

    def wait_requests(self, count, path="/token"):
        end = time.monotonic() + DEADLINE
        with self.changed:
            while len(found := [r for r in self.requests if r.path == path]) < count:
                left = end - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"token server: {count} requests wanted, only {found} came")
                self.changed.wait(min(left, 0.2))
            return found

    def is_good(self, token):
        with self.changed:
            return self.tokens.get(token, 0) > time.monotonic()

    def revoke_all(self):
        with self.changed:
            self.tokens.clear()

    # -- answers

    def answer(self, request):
        with self.changed:
            self.requests.append(request)
            self.changed.notify_all()
            action = None
            for rule in self.rules:
                if rule[0] == request.path and rule[2] != 0:
                    rule[2] = rule[2] - 1 if rule[2] is not None else None
                    action = rule[1]
                    break
        if callable(action):
            action = action(request)
        if action is not None:
            return action
        with self.changed:
            status, body = getattr(self, "do_" + request.path.strip("/"), lambda _r: (404, {}))(request)
        return status, "application/json", json.dumps(body).encode()

    def knows_client(self, form):
        return (form.get("client_id"), form.get("client_secret")) in (self.client, (self.client[0], None))

    def grant(self, with_refresh):
        self.count += 1
        token = f"at-{self.count}"
        self.tokens[token] = time.monotonic() + self.lifetime
        body = {"access_token": token, "token_type": "Bearer", "expires_in": self.lifetime if self.says is ... else self.says}
        if with_refresh:
            body["refresh_token"] = f"rt-{self.count}"
            self.refresh.add(body["refresh_token"])
        return 200, body

    def do_token(self, request):
        form = request.form
        if not self.knows_client(form):
            return 401, {"error": "invalid_client"}
        grant = form.get("grant_type")
        if grant == "client_credentials" and form.get("client_secret"):
            return self.grant(False)
        if grant == "refresh_token":
            if form.get("refresh_token") not in self.refresh:
                return 400, {"error": "invalid_grant", "error_description": "the refresh token is not known"}
            if self.rotate:
                self.refresh.remove(form["refresh_token"])
            return self.grant(self.rotate)
        if grant == "urn:ietf:params:oauth:grant-type:device_code" and form.get("device_code") == self.device["device_code"]:
            if self.pending > 0:
                self.pending -= 1
                return 400, {"error": "authorization_pending"}
            return self.grant(True)
        return 400, {"error": "unsupported_grant_type"}

    def do_device(self, request):
        return 200, self.device

    def do_introspect(self, request):
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Basic" or b64decode(secret).decode() != ":".join(self.client):
            return 401, {"error": "invalid_client"}
        if not self.tokens.get(request.form.get("token"), 0) > time.monotonic():
            return 200, {"active": False}
        return 200, {"active": True, "username": "relay@example.test", "token_type": "Bearer"}


class _Handler(http.server.BaseHTTPRequestHandler):
    owner = None

    def do_POST(self):
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode(),
                                     strict_parsing=True, keep_blank_values=True)
        answer = self.owner.answer(Request(self.path, {k: v[0] for k, v in form.items()}, self.headers))
        if answer == "close":
            self.close_connection = True
            return
        status, kind, body = answer
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if 300 <= status < 400:
            self.send_header("Location", f"{self.owner.base}/token")
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            pass  # whoever asked has heard enough

    def log_message(self, *_):
        pass
