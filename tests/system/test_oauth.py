# SPDX-License-Identifier: ISC
"""OAuth 2 for upstreams: the relay gets tokens, keeps them good, and logs in with them; whatever the token endpoint
and the upstream do."""

import base64
import json
import os
import re
import shutil
import signal
import threading
import time

import harness
from harness import equal, wait_until
from smtp_peers import STALL, Authority, Client, Upstream, without_received
from terminal import Terminal
from token_server import HTML, TokenServer, error

CONTENT = b"Subject: oauth\r\n\r\nbody\r\n"


class World:
    """A token server, an upstream that takes its tokens, and the file with what the relay has."""

    def __init__(self, t, mechanisms=("XOAUTH2",), authority=None, **options):
        self.t, self.authority, self.probe = t, authority, ("50ms", "200ms")
        self.server = TokenServer(t, tls=authority and authority.server_context(), **options)
        self.upstream = Upstream(t, tokens={m: self.server.is_good for m in mechanisms})
        self.folder = t.tmp / "oauth"
        self.folder.mkdir(0o700)
        self.file = self.folder / "main.json"
        self.secret = t.tmp / "client-secret"
        self.secret.write_text("hush\n")
        self.secret.chmod(0o600)
        self.give(self.folder)

    def give(self, path):
        """To the user that runs the relay."""
        if os.geteuid() == 0:
            shutil.chown(path, harness.ROOT_USERS[0])

    def store(self, mode=0o600, **fields):
        new = self.folder / "new"
        new.write_text(json.dumps({"version": 1, **fields}))
        new.chmod(mode)
        self.give(new)
        new.rename(self.file)

    def store_token(self, lasts=3600, refresh="rt-0", age=0, **fields):
        """A good access token, beside the refresh token."""
        now = int(time.time())
        self.server.tokens["at-stored"] = time.monotonic() + lasts
        self.store(access_token="at-stored", refresh_token=refresh, obtained_at=now - age, expires_at=now + lasts, **fields)

    def stored(self):
        return json.loads(self.file.read_text())

    def section(self, grant="refresh_token", more=""):
        ca = f'\n oauth_ca_file = "{self.authority.file}"' if self.authority else ""
        device = f'\n oauth_device_url = "{self.server.base}/device"' if grant == "device_code" else ""
        return (f'upstream "main" {{\n remoteaddr = "{harness.address(self.upstream)}"\n tls = "none"\n'
                f' user = "relay@example.test"\n oauth = "{grant}"\n oauth_token_url = "{self.server.base}/token"\n'
                f' oauth_client_id = "client"\n oauth_client_secret_file = "{self.secret}"\n'
                f' oauth_token_file = "{self.file}"\n probe_min = "{self.probe[0]}"\n probe_max = "{self.probe[1]}"{ca}{device}\n {more}\n}}\n')

    def relay(self, grant="refresh_token", top="", more="", **options):
        return self.t.daemon(config='log_level = "debug"\n' + top + self.section(grant, more), **options)


def submit(relay):
    with Client(relay) as client:
        ident = client.message(CONTENT).lines[-1].split()[-1]
        client.quit()
    return ident


def delivered(world, relay, count=1):
    world.upstream.wait_messages(count)
    relay.wait_empty()
    equal([without_received(m.content) for m in world.upstream.messages], [CONTENT] * count, "delivered")


def no_secrets(relay):
    """Neither tokens nor the client's secret, in whatever form, in the log: it has the whole dialogue."""
    bad = [line for line in relay.lines if re.search(r"\b(at|rt)-|hush|YXV0aD1CZWFyZX|dXNlcj", line)]
    equal(bad, [], "lines with secrets")


def log_in(t, mechanisms, expected, token=None):
    world = World(t, mechanisms)
    if token:
        world.server.tokens[token] = time.monotonic() + 3600
        now = int(time.time())
        world.store(access_token=token, refresh_token="rt-0", obtained_at=now, expires_at=now + 3600)
    else:
        world.store(refresh_token="rt-0")
    relay = world.relay()
    submit(relay)
    delivered(world, relay)
    equal({(m, user) for m, user, _token in world.upstream.logins}, {(expected, "relay@example.test")}, "logins")
    no_secrets(relay)
    assert not relay.events("upstream_down"), relay.events("upstream_down")
    return world, relay


def test_refresh_token(t):
    world, relay = log_in(t, ["XOAUTH2"], "XOAUTH2")
    equal(world.server.requests[0].form, {"grant_type": "refresh_token", "refresh_token": "rt-0", "client_id": "client",
                                          "client_secret": "hush"}, "the request")
    refreshed = relay.wait_for("oauth_refreshed", upstream="main")
    assert 3500 < float(refreshed["valid_for"]) <= 3600, refreshed
    stored = world.stored()
    equal((stored["access_token"], stored["refresh_token"]), ("at-1", "rt-0"), "stored")
    equal(world.file.stat().st_mode & 0o777, 0o600, "mode of the token file")
    assert relay.events("upstream_dialogue", sent="AUTH XOAUTH2 ***"), "the dialogue shows that it logged in"
    status = json.loads(t.posthouse("--spool", relay.spool, "status", "--json"))
    token = status["upstreams"][0]["token"]
    assert abs(token["valid_until"] - time.time() - 3600) < 60 and token["last_error"] is None, token
    assert re.search(r"^ +token +valid for (60m|59m)", t.posthouse("--spool", relay.spool, "status"), re.M)
    assert not relay.events("oauth_failed"), "nothing failed"


def test_oauthbearer_is_preferred(t):
    log_in(t, ["XOAUTH2", "OAUTHBEARER"], "OAUTHBEARER")


def test_oauthbearer(t):
    log_in(t, ["OAUTHBEARER"], "OAUTHBEARER")


def test_long_token(t):
    """Microsoft's have 2 kB and more, too long for a command line: the token comes behind a 334."""
    world, _relay = log_in(t, ["XOAUTH2"], "XOAUTH2", token="x" * 4000)
    assert "AUTH XOAUTH2" in world.upstream.commands("AUTH"), world.upstream.commands("AUTH")


def test_client_credentials(t):
    world = World(t)
    relay = world.relay("client_credentials", more='oauth_scope = "https://outlook.test/.default"')
    submit(relay)
    delivered(world, relay)
    equal(world.server.requests[0].form, {"grant_type": "client_credentials", "client_id": "client",
                                          "client_secret": "hush", "scope": "https://outlook.test/.default"}, "the request")
    equal(world.stored()["refresh_token"], None, "there is nothing to refresh with")


def test_over_tls(t):
    world = World(t, authority=Authority(t))
    world.store(refresh_token="rt-0")
    relay = world.relay()
    submit(relay)
    delivered(world, relay)


def test_endpoint_that_is_not_trusted(t):
    world = World(t, authority=Authority(t))
    world.authority = Authority(t, "other")
    world.store(refresh_token="rt-0")
    relay = world.relay()
    failed = relay.wait_for("oauth_failed", upstream="main")
    assert world.server.base in failed["reason"] and "certificate" in failed["reason"], failed
    equal(world.server.requests, [], "nothing was said to it")


# ---- refreshed ahead of its end, and when it is refused --------------------------

def test_refreshed_ahead_of_its_end(t):
    """Tokens of 4 seconds: each is replaced before it ends, so that no login is ever refused."""
    world = World(t, lifetime=4)
    world.store(refresh_token="rt-0")
    relay = world.relay(more='idle_timeout = "50ms"\n messages_per_connection = 1')
    for count in range(1, 4):
        relay.wait_for("oauth_refreshed", count=count)
        submit(relay)
        delivered(world, relay, count)
    equal(relay.events("credentials_refused"), [], "refused")
    tokens = [token for _m, _u, token in world.upstream.logins]
    assert len(set(tokens)) > 1 and tokens == sorted(tokens), tokens


def test_refused_once(t):
    """What was good by the clock and is not: a new one is asked for, and the message goes without a pause."""
    world = World(t)
    world.store_token()
    world.server.revoke_all()
    relay = world.relay()
    submit(relay)
    delivered(world, relay)
    equal([token for _m, _u, token in world.upstream.logins], ["at-stored", "at-1"], "tokens")
    refused = relay.wait_for("credentials_refused", upstream="main")
    assert "refused" in refused["reason"] and '"status":"400"' in refused["reason"], refused
    equal(relay.events("upstream_down"), [], "paused")
    no_secrets(relay)


def test_refused_again(t):
    """A new one does not help: the upstream is paused, with the reason; the server is not asked again and again."""
    world = World(t, ["OAUTHBEARER"])
    world.store_token()
    world.upstream.tokens["OAUTHBEARER"] = lambda _token: False
    relay = world.relay()
    ident = submit(relay)
    down = relay.wait_for("upstream_down")
    assert re.search(r"auth: .*bad token.*\"scope\":\"https://mail.test/\"", down["reason"]), down
    relay.wait_for("upstream_still_down", count=3)
    equal(len(world.server.requests), 1, "requests for a token")
    equal(relay.queue(), [ident], "queue")
    world.upstream.tokens["OAUTHBEARER"] = world.server.is_good
    delivered(world, relay)


def test_others_end_the_pause(t):
    """The upstream refuses what it was given, and is paused for an hour; what an operator brings is tried at once."""
    world = World(t)
    world.probe = ("1h", "1h")
    world.store_token()
    world.upstream.tokens["XOAUTH2"] = lambda token: token == "at-better"
    relay = world.relay()
    submit(relay)
    relay.wait_for("upstream_down")
    now = int(time.time())
    world.store(access_token="at-better", refresh_token="rt-0", obtained_at=now, expires_at=now + 3600)
    delivered(world, relay)


def test_temporary_refusal(t):
    """454 is no word about the token."""
    world = World(t)
    world.store_token()
    world.upstream.on("AUTH", "454 4.7.0 later", times=1)
    relay = world.relay()
    submit(relay)
    delivered(world, relay)
    equal(world.server.requests, [], "requests for a token")


# ---- the token endpoint is not well ---------------------------------------------

def test_outage_keeps_the_old_token(t):
    world = World(t)
    world.store_token(lasts=300, age=3300)  # within the margin: it is to be replaced
    world.server.on("/token", HTML)
    relay = world.relay()
    failed = relay.wait_for("oauth_failed")
    assert "503" in failed["reason"] and "web page" in failed["reason"] and float(failed["valid_for"]) > 200, failed
    submit(relay)
    delivered(world, relay)
    equal([token for _m, _u, token in world.upstream.logins], ["at-stored"], "tokens")
    assert "503" in world.stored()["last_error"], world.stored()
    world.server.clear()
    relay.wait_for("oauth_refreshed")  # some seconds later, by itself
    equal(world.stored()["last_error"], None, "last error")


def test_outage_leaves_sessions_alone(t):
    """The token is over and there is no new one: what was let in before goes on, one message after the other."""
    world = World(t)
    world.probe = ("1h", "1h")
    world.upstream.pipelining = False
    world.upstream.extensions = ("8BITMIME",)
    world.server.on("/token", HTML)
    world.store_token(lasts=2, age=3598)
    relay = world.relay()
    submit(relay)
    world.upstream.wait_messages(1)
    relay.wait_empty()
    end = world.stored()["expires_at"]
    wait_until(lambda: time.time() > end + 0.1, "the end of the token")
    answer = threading.Event()
    world.upstream.on("EOD", lambda *_: answer.wait(harness.DEADLINE) and None, times=1)
    submit(relay)
    world.upstream.wait_received(2)
    ident = submit(relay)  # one connection is busy: the relay wants another
    answer.set()
    relay.wait_for("completed", id=ident)
    equal((len(world.upstream.logins), relay.events("upstream_down")), (1, []), "logins, pauses")


def test_answers_that_are_none(t):
    """Nothing is paused for as long as the old token is good; each reason is told."""
    answers = [((200, "application/json", b'{"access_token": 7}'), "no access_token"),
               ((200, "application/json", b'{"access_token": "a b"}'), "no access_token"),
               ((200, "application/json", b'{"access_token":"x","token_type":"mac"}'), '"mac", not Bearer'),
               ((302, "text/html", b""), "302"),
               ((200, "application/json", b"x" * 70000), "larger than"),
               ("close", "Empty reply|closed|reset"),
               (error("temporarily_unavailable", "later\x1b[31m", 503), "temporarily_unavailable: later")]
    for answer, words in answers:
        case = harness.Test("part")
        try:
            world = World(case)
            world.store_token(lasts=300, age=3300)
            world.server.on("/token", answer)
            relay = world.relay()
            failed = relay.wait_for("oauth_failed")
            assert re.search(words, failed["reason"]), failed
            assert "\x1b" not in "".join(relay.lines)
            equal(len(world.server.requests), 1, f"requests ({words}): no redirect is followed")
            no_secrets(relay)
        finally:
            trouble = case.finish(False)
            case.remove()
        equal(trouble, [], "at the end")


def test_slow_endpoint_blocks_nobody(t):
    world = World(t)
    world.store_token(lasts=300, age=3300)
    world.server.on("/token", lambda _r: world.server.closing.wait(60) and None)
    relay = world.relay()
    world.server.wait_requests(1)
    for count in range(1, 4):
        submit(relay)
        delivered(world, relay, count)


def test_refused_by_the_endpoint(t):
    world = World(t)
    world.store(refresh_token="rt-stale")
    relay = world.relay()
    ident = submit(relay)
    down = relay.wait_for("upstream_down")
    for words in ("invalid_grant", "the refresh token is not known", "run posthouse oauth login main"):
        assert words in down["reason"], down
    relay.wait_for("upstream_still_down", count=5)
    equal(len(world.server.requests), 1, "requests: a person is needed")
    world.store(refresh_token="rt-0")  # as posthouse oauth login does
    delivered(world, relay)
    relay.wait_for("upstream_up")
    assert ident


# ---- the file -------------------------------------------------------------------

def test_no_token(t):
    world = World(t)
    world.probe = ("1h", "1h")
    relay = world.relay("device_code")
    submit(relay)
    down = relay.wait_for("upstream_down")
    equal(down["reason"], "no token: run posthouse oauth login main", "reason")
    equal(world.upstream.sessions, [], "connections")
    equal(world.server.requests, [], "requests")
    world.store_token()
    delivered(world, relay)  # at once, without a probe's time
    relay.wait_for("oauth_loaded")


def test_open_file_is_refused(t):
    world = World(t)
    world.store(0o644, refresh_token="rt-0")
    relay = world.relay()
    submit(relay)
    down = relay.wait_for("upstream_down")
    assert "main.json is open to others" in down["reason"] and "chmod 0600" in down["reason"], down
    world.file.chmod(0o600)
    delivered(world, relay)


def test_garbage_in_the_file(t):
    for text in ("", "{", '{"version":2}', '{"version":1,"refresh_token":7}', '{"version":1,"access_token":"a\\u0001b"}',
                 '{"version":1,"expires_at":-1}', "[]" * 100000):
        world = World(case := harness.Test("part"))
        world.file.write_text(text)
        world.file.chmod(0o600)
        world.give(world.file)
        relay = world.relay()
        failed = relay.wait_for("oauth_failed")
        assert "main.json is" in failed["reason"] and "log in anew" in failed["reason"], failed
        equal(case.finish(False), [], "at the end")
        case.remove()


def test_rotation_survives_kill(t):
    """Killed when the new token was never used: what came with it is on the disk, and the next relay goes on with it."""
    world = World(t)
    world.server.rotate = True
    world.store(refresh_token="rt-0")
    rule = world.upstream.on("AUTH", STALL, times=1)
    relay = world.relay()
    submit(relay)
    world.upstream.wait_stall("AUTH")
    os.kill(relay.child("relay"), signal.SIGKILL)
    equal(world.stored()["refresh_token"], "rt-1", "refresh token on the disk")
    assert rule.used
    delivered(world, relay)
    equal([r.form["refresh_token"] for r in world.server.requests], ["rt-0"], "refresh tokens used")


def test_rotated_token_is_kept_first(t):
    """It cannot be written: the access token that came with it is not used before it can."""
    world = World(t)
    world.server.rotate = True
    world.store(refresh_token="rt-0")

    def no_more_writing(_request):
        world.folder.chmod(0o500)

    world.server.on("/token", no_more_writing, times=1)
    relay = world.relay()
    unsaved = relay.wait_for("oauth_unsaved")
    assert "main.json cannot be written" in unsaved["reason"], unsaved
    submit(relay)
    down = relay.wait_for("upstream_down")
    assert "cannot be written" in down["reason"], down
    equal(world.upstream.sessions, [], "connections")
    world.folder.chmod(0o700)
    delivered(world, relay)
    equal(world.stored()["refresh_token"], "rt-1", "refresh token on the disk")
    equal(len(world.server.requests), 1, "requests")


def test_file_replaced_while_asking(t):
    """By hand, so without a lock: the answer to what was there before, good or bad, does not go over the new one."""
    for answer in (None, HTML):
        world = World(case := harness.Test("part"))
        try:
            world.server.rotate = True
            world.store(refresh_token="rt-0")
            go = threading.Event()
            world.server.on("/token", lambda _request, go=go, answer=answer: go.wait(harness.DEADLINE) and answer, times=1)
            relay = world.relay()
            world.server.wait_requests(1)
            world.server.refresh.add("rt-new")
            world.store_token(refresh="rt-new")
            go.set()
            relay.wait_for("oauth_loaded")
            submit(relay)
            delivered(world, relay)
            equal([token for _m, _u, token in world.upstream.logins], ["at-stored"], "tokens")
            equal(world.stored()["refresh_token"], "rt-new", "refresh token on the disk")
            equal(len(world.server.requests), 1, "requests")
        finally:
            trouble = case.finish(False)
            case.remove()
        equal(trouble, [], "at the end")


def test_file_touched_while_asking(t):
    """It holds what it held: the answer is not thrown away with the refresh token in it."""
    world = World(t)
    world.server.rotate = True
    world.store(refresh_token="rt-0")
    world.server.on("/token", lambda _request: os.utime(world.file), times=1)
    relay = world.relay()
    relay.wait_for("oauth_refreshed")
    equal(world.stored()["refresh_token"], "rt-1", "refresh token on the disk")


def test_tokens_of_a_second(t):
    """A server that says so is not asked more than once a second."""
    world = World(t)
    world.server.says = 1
    world.store(refresh_token="rt-0")
    relay = world.relay()
    requests = world.server.wait_requests(4)
    pauses = [b.when - a.when for a, b in zip(requests, requests[1:])]
    assert min(pauses) > 0.9, pauses
    submit(relay)
    delivered(world, relay)


def test_stop_while_asking(t):
    """The server has taken the old refresh token for used when the relay is told to stop: it waits for the new one."""
    world = World(t)
    world.server.rotate = True
    world.store(refresh_token="rt-0")
    answer = threading.Event()
    world.server.on("/token", lambda _request: answer.wait(harness.DEADLINE) and None, times=1)
    relay = world.relay()
    world.server.wait_requests(1)
    relay.signal(signal.SIGTERM)
    wait_until(lambda: not relay.children("worker"), "workers to be gone")
    answer.set()
    relay.stop()
    equal(world.stored()["refresh_token"], "rt-1", "refresh token on the disk")


def test_stop_does_not_wait_for_ever(t):
    world = World(t)
    world.store(refresh_token="rt-0")
    world.server.on("/token", lambda _request: world.server.closing.wait(60) and None)
    relay = world.relay(top='stop_timeout = "1s"\n')
    world.server.wait_requests(1)
    relay.stop()
    equal(relay.events("killed"), [], "killed")
    equal(world.stored()["refresh_token"], "rt-0", "refresh token on the disk")


def test_two_upstreams_one_without(t):
    """One without a token is in nobody's way."""
    world = World(t)
    other = Upstream(t)
    relay = t.daemon(config=world.section("device_code") + f'upstream "other" {{ remoteaddr = "{harness.address(other)}" }}\n'
                     'route { recipient = "*@other.test"  upstream = "other" }\n')
    with Client(relay) as client:
        client.message(CONTENT, rcpts=["a@main.test", "b@other.test"])
        client.quit()
    equal(other.wait_messages()[0].rcpts, ["b@other.test"], "recipients")
    relay.wait_for("upstream_down", upstream="main")
    wait_until(lambda: relay.queue(), "the message waits for the other recipient")


# ---- tokens of clients -------------------------------------------------------------

def log_in_with(relay, mechanism, token, user="relay@example.test"):
    """The reply to AUTH with this token, and the challenge before it ("" without one)."""
    message = f"n,a={user},\x01auth=Bearer {token}\x01\x01" if mechanism == "OAUTHBEARER" else \
        f"user={user}\x01auth=Bearer {token}\x01\x01"
    with Client(relay) as client:
        reply = client.cmd(f"AUTH {mechanism} {base64.b64encode(message.encode()).decode()}")
        if reply.code != 334:
            return reply, ""
        return client.cmd("AQ=="), base64.b64decode(reply.lines[0]).decode()


def test_tokens_of_clients(t):
    server = TokenServer(t)
    secret = t.tmp / "secret"
    secret.write_text("hush\n")
    secret.chmod(0o600)
    if os.geteuid() == 0:
        shutil.chown(secret, harness.ROOT_USERS[0])
    server.tokens["at-good"] = time.monotonic() + 3600
    user = f'auth_user = "{harness.ROOT_USERS[0]}"\n' if os.geteuid() == 0 else ""
    relay = t.daemon(Upstream(t), config=f'{user}auth = "offered"\nauth_without_tls = yes\nlog_level = "debug"\n'
                     f'auth_failure_delay = "0s"\nauth_oauth_introspection_url = "{server.base}/introspect"\n'
                     f'auth_oauth_client_id = "client"\nauth_oauth_client_secret_file = "{secret}"\n').ready()
    for mechanism in ("OAUTHBEARER", "XOAUTH2"):
        equal(log_in_with(relay, mechanism, "at-good")[0].code, 235, mechanism)
        reply, challenge = log_in_with(relay, mechanism, "at-other")
        equal((reply.code, json.loads(challenge)["status"]), (535, "invalid_token"), "a token that is not active")
        equal(log_in_with(relay, mechanism, "at-good", "root@example.test")[0].code, 535, "another user")
        server.on("/introspect", HTML, times=1)
        equal(log_in_with(relay, mechanism, "at-good")[0].code, 454, "the server is not well")
        equal(log_in_with(relay, mechanism, "b ad")[0].code // 100, 5, "no token at all")
    server.close()
    equal(log_in_with(relay, "XOAUTH2", "at-good")[0].code, 454, "the server is gone")
    no_secrets(relay)


# ---- posthouse oauth --------------------------------------------------------------

def oauth(world, grant, *args, check=0, data=None, more=""):
    """Output and errors of the command."""
    path = world.t.config(world.section(grant, more), spool=world.t.tmp / "spool", name=f"oauth-{grant}")
    done = world.t.run([harness.BUILDDIR / "posthouse", "--config", path, "oauth", *args], check=check, data=data)
    out, err = done.stdout.decode(), done.stderr.decode()
    assert not re.search(r"\b(at|rt)-|hush", out + err), out + err
    return out, err


def test_login_by_device(t):
    world = World(t)
    world.server.on("/token", error("slow_down"), times=1)
    relay = world.relay("device_code")
    submit(relay)
    relay.wait_for("upstream_down")
    out, _err = oauth(world, "device_code", "login", "main", more='oauth_scope = "offline_access smtp"')
    for words in ("open     https://example.test/device\n", "enter    WDJB-MJHT\n", "log in as relay@example.test"):
        assert words in out, out
    delivered(world, relay)  # the relay has noticed by itself
    equal(world.server.requests[0].form, {"client_id": "client", "scope": "offline_access smtp"}, "device request")
    asked = world.server.wait_requests(2)
    assert asked[1].when - asked[0].when >= 6, "it asks less often after slow_down"
    equal(asked[0].form["grant_type"], "urn:ietf:params:oauth:grant-type:device_code", "grant")
    equal(world.stored()["refresh_token"], "rt-1", "refresh token")
    equal(world.file.stat().st_mode & 0o777, 0o600, "mode")
    equal(world.file.stat().st_uid, world.folder.stat().st_uid, "owner")


def test_login_that_fails(t):
    world = World(t)
    for answer, words in ((error("access_denied", "the user said no\x1b[2J"), "access_denied: the user said no"),
                          (error("expired_token"), "expired_token"),
                          (error("invalid_client"), "check oauth_client_id")):
        world.server.on("/token", answer, times=1)
        _out, err = oauth(world, "device_code", "login", "main", check=1)
        assert words in err and "\x1b" not in err, err
    world.server.on("/device", HTML, times=1)
    _out, err = oauth(world, "device_code", "login", "main", check=1)
    assert "web page" in err, err
    world.server.device["expires_in"] = 2
    world.server.pending = 100
    _out, err = oauth(world, "device_code", "login", "main", check=1)
    assert "the code is over" in err, err
    _out, err = oauth(world, "client_credentials", "login", "main", check=1)
    assert "posthouse oauth refresh main" in err, err
    assert not world.file.exists(), "nothing was stored"


def test_login_interrupted(t):
    world = World(t)
    world.server.pending = 1000
    path = t.config(world.section("device_code"), spool=t.tmp / "spool", name="oauth")
    login = t.start([harness.BUILDDIR / "posthouse", "--config", path, "oauth", "login", "main"])
    world.server.wait_requests(1)
    login.signal(signal.SIGINT)
    equal(login.wait(), -signal.SIGINT, "exit status")
    equal(list(world.folder.iterdir()), [], "left behind")


def test_login_by_refresh_token(t):
    world = World(t)
    out, _err = oauth(world, "refresh_token", "login", "main", data=b"rt-0\n")
    assert f"asking   {world.server.base}/token" in out and "granted  for 60m" in out, out
    equal((world.stored()["refresh_token"], world.stored()["access_token"]), ("rt-0", "at-1"), "stored")
    before = world.file.read_bytes()
    for data, words in ((b"rt-9\n", "invalid_grant"), (b"", "no refresh token"), (b"a b\n", "no refresh token"),
                        (b"x" * 20000, "no refresh token")):
        _out, err = oauth(world, "refresh_token", "login", "main", check=1, data=data)
        assert words in err, err
    equal(world.file.read_bytes(), before, "what was stored stays")


def test_login_at_the_terminal(t):
    """The token is not shown, and a signal at the prompt leaves the terminal as it was."""
    world = World(t)
    path = t.config(world.section("refresh_token"), spool=t.tmp / "spool", name="oauth")
    argv = (harness.BUILDDIR / "posthouse", "--config", path, "oauth", "login", "main")
    term = Terminal(t, *argv)
    term.type_at(b"(it is not shown): ", b"\x03")
    equal(term.wait(), signal.SIGINT, "how it ended")
    assert term.echo(), "echo is off"
    term = Terminal(t, *argv)
    term.type_at(b"(it is not shown): ", b"rt-0\n")
    term.read_until(b"stored ")
    equal(term.wait(), 0, "status")
    assert b"rt-0" not in term.seen and term.echo(), term.seen


def test_refresh(t):
    world = World(t)
    world.server.rotate = True
    _out, err = oauth(world, "refresh_token", "refresh", "main", check=1)
    assert "no token: run posthouse oauth login main" in err, err
    world.store(refresh_token="rt-0")
    out, _err = oauth(world, "refresh_token", "refresh", "main")
    assert "with a new refresh token" in out and f"stored   {world.file}" in out, out
    equal(world.stored()["refresh_token"], "rt-1", "refresh token")
    world.server.on("/token", HTML)
    _out, err = oauth(world, "refresh_token", "refresh", "main", check=1)
    assert f"{world.server.base}/token: " in err and "503" in err, err
    equal(world.stored()["refresh_token"], "rt-1", "refresh token")
    world.server.close()
    _out, err = oauth(world, "refresh_token", "refresh", "main", check=3)
    assert "refused" in err, err


def test_refresh_waits_for_the_relay(t):
    """Both use one refresh token, which is worth nothing once it was rotated: one after the other."""
    world = World(t)
    world.server.rotate = True
    world.store(refresh_token="rt-0")
    asked, go_on = threading.Event(), threading.Event()

    def hold(_request):
        asked.set()
        go_on.wait(harness.DEADLINE)

    world.server.on("/token", hold, times=1)
    world.relay()
    assert asked.wait(harness.DEADLINE)
    path = t.config(world.section(), spool=t.tmp / "spool", name="oauth")
    command = t.start([harness.BUILDDIR / "posthouse", "--config", path, "oauth", "refresh", "main"])
    time.sleep(0.3)  # it would have asked by now
    equal(len(world.server.requests), 1, "requests while the relay's is under way")
    go_on.set()
    equal(command.wait(), 0, "exit status")
    equal([r.form["refresh_token"] for r in world.server.requests], ["rt-0", "rt-1"], "refresh tokens used")


def test_status(t):
    world = World(t)
    out, _err = oauth(world, "device_code", "status", check=1)
    assert "run posthouse oauth login" in out, out
    world.store_token(scope="smtp", last_error="that was it", last_error_at=int(time.time()) - 60)
    out, _err = oauth(world, "device_code", "status", "main")
    for words in ("main (device_code)", "token    valid, until ", "(in ", "a refresh token is stored", " ago: that was it"):
        assert words in out, out
    one = json.loads(oauth(world, "device_code", "status", "--json")[0])
    assert abs(one.pop("valid_until") - time.time() - 3600) < 60 and abs(one.pop("obtained") - time.time()) < 60
    assert one.pop("last_error_at")
    equal(one, {"upstream": "main", "grant": "device_code", "file": str(world.file), "state": "valid", "refresh_token": True,
                "scope": "smtp", "last_error": "that was it"}, "status")
    world.store_token(lasts=-10)
    one = json.loads(oauth(world, "device_code", "status", "--json", check=1)[0])
    equal(one["state"], "expired", "state")
    world.file.chmod(0o604)
    one = json.loads(oauth(world, "device_code", "status", "--json", check=1)[0])
    assert one["state"] == "unreadable" and "open to others" in one["last_error"], one


def test_command_line(t):
    world = World(t)
    for args, words in ((["login"], "one upstream is to be named"), ([], "what is to be done"), (["lgoin"], "not login"),
                        (["refresh", "--json", "main"], "--json goes with status"), (["status", "a", "b"], "one upstream")):
        assert words in oauth(world, "device_code", *args, check=2)[1]
    assert 'there is no upstream "x"' in oauth(world, "device_code", "status", "x", check=1)[1]
    plain = t.config('upstream "main" { remoteaddr = "127.0.0.1:25" }\n', spool=t.tmp / "spool", name="plain")
    for args, words in ((["main"], "does not use oauth"), ([], "no upstream uses oauth")):
        done = t.run([harness.BUILDDIR / "posthouse", "--config", plain, "oauth", "status", *args], check=1)
        assert words in done.stderr.decode(), done


if __name__ == "__main__":
    harness.main(__name__)
