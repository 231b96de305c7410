# SPDX-License-Identifier: ISC
"""TLS to an upstream: certificates of every kind, pins, versions, our own
certificate, credentials, REQUIRETLS. What is wrong is told exactly and the
mail waits; when it is right again, it goes."""

import json
import os
import re
import ssl

import harness
from certificates import HERE, Pki, self_signed
from harness import BUILDDIR, equal
from smtp_peers import Client, Upstream
from test_relay import CONTENT, FAST, delivered_once, start, submit


def words(text):
    """Without the line breaks of what is shown to people."""
    return " ".join(text.split())


def explained(t, relay, ident):
    return words(t.posthouse("--config", t.tmp / f"{relay.name}.conf", "explain", ident))


def refused_then_right(t, wrong, more, reason, right):
    """Nothing is said over such a session, the reason is in the log and told to who asks; then the server mends its
    ways (its next context)."""
    upstream = Upstream(t, tls=wrong)
    relay = start(t, upstream, more)
    ident = submit(relay)
    down = relay.wait_for("upstream_down")
    assert re.search(reason, down["reason"]), down["reason"]
    relay.wait_for("upstream_still_down")
    equal((upstream.commands("MAIL"), relay.queue()), ([], [ident]), "MAIL commands, queue")
    told = explained(t, relay, ident)
    assert words(down["reason"]) in told, told
    equal((relay.events("failed"), relay.events("bounced")), ([], []), "given up")
    upstream.tls = right
    delivered_once(relay, upstream, ident)
    delivered = relay.wait_for("delivered", id=ident)
    equal((delivered["tries"], delivered["tls"], delivered["verified"]), ("1", "TLSv1.3", "yes"), "tries, TLS, verified")


def kind(reason, names=HERE, **how):
    def case(t):
        ca = Pki(t)
        bad = ca.pair(names, name="bad", **how)
        refused_then_right(t, bad.server_context(), f'tls = "required"\n tls_ca_file = "{ca.file}"', reason,
                           ca.pair(HERE).server_context())
    return case


test_expired = kind("certificate has expired .*subject CN=bad, issuer CN=Test CA, key .*, valid from", begins=-3, ends=-1)
test_not_yet_valid = kind("certificate is not yet valid .*valid from", begins=1, ends=2)
test_wrong_name = kind(r"it is for other\.test, 192\.0\.2\.1, not for the host name '127\.0\.0\.1'",
                       names="DNS:other.test,IP:192.0.2.1")
test_no_name = kind("it is for subject CN=bad, not for", names=None)
test_small_key = kind("EE certificate key too weak .*key RSA 1024", key="rsa1024")
test_sha1 = kind("CA signature digest algorithm too weak", digest="sha1")


def test_unknown_authority(t):
    ca, other = Pki(t), Pki(t, "other")
    refused_then_right(t, other.pair(HERE, name="bad").server_context(), f'tls = "required"\n tls_ca_file = "{ca.file}"',
                       "unable to get local issuer certificate .*issuer CN=Test CA", ca.pair(HERE).server_context())


def test_self_signed(t):
    ca = Pki(t)
    refused_then_right(t, self_signed(t).server_context(), f'tls = "required"\n tls_ca_file = "{ca.file}"',
                       "self-signed certificate .*subject CN=self, issuer CN=self", ca.pair(HERE).server_context())


def test_implicit_too(t):
    ca = Pki(t)
    bad, good = ca.pair(HERE, name="bad", begins=-3, ends=-1), ca.pair(HERE)
    upstream = Upstream(t, tls=bad.server_context(), implicit_tls=True)
    relay = start(t, upstream, f'tls = "implicit"\n tls_ca_file = "{ca.file}"')
    ident = submit(relay)
    down = relay.wait_for("upstream_down")
    assert "certificate has expired" in down["reason"], down
    upstream.tls = good.server_context()
    delivered_once(relay, upstream, ident)


def test_too_old_a_version(t):
    ca = Pki(t)
    server = ca.pair(HERE)
    refused_then_right(t, server.server_context(most=ssl.TLSVersion.TLSv1_1),
                       f'tls = "required"\n tls_ca_file = "{ca.file}"',
                       'protocol version.*tls_min_version', server.server_context())


def test_min_version(t):
    ca = Pki(t)
    server = ca.pair(HERE)
    refused_then_right(t, server.server_context(most=ssl.TLSVersion.TLSv1_2),
                       f'tls = "required"\n tls_ca_file = "{ca.file}"\n tls_min_version = 1.3', "tls_min_version",
                       server.server_context())
    upstream = Upstream(t, tls=server.server_context(most=ssl.TLSVersion.TLSv1))
    relay = start(t, upstream, f'tls = "required"\n tls_ca_file = "{ca.file}"\n tls_min_version = 1.0', name="old")
    ident = submit(relay)
    delivered_once(relay, upstream, ident)
    equal(relay.wait_for("delivered", id=ident)["tls"], "TLSv1", "version")


# ---- pins --------------------------------------------------------------------

def test_pin(t):
    """Another key than the pinned one: the reason names it, ready to be pinned."""
    ca = Pki(t)
    good, other = ca.pair(HERE), ca.pair(HERE, name="other")
    refused_then_right(t, other.server_context(),
                       f'tls = "required"\n tls_ca_file = "{ca.file}"\n tls_pin = "{good.pin}"',
                       re.escape(f"not one of tls_pin: it is {other.pin}"), good.server_context())


def test_pin_alone(t):
    """A server with a certificate of its own making, long expired for all we know: its key is enough, and it alone."""
    server, other = self_signed(t, names="DNS:nobody.test"), self_signed(t, "other")
    upstream = Upstream(t, tls=other.server_context())
    relay = start(t, upstream, f'tls = "required"\n tls_verify = "pin"\n tls_pin = {{ "{server.pin}" }}')
    ident = submit(relay)
    assert "not one of tls_pin" in relay.wait_for("upstream_down")["reason"]
    upstream.tls = server.server_context()
    delivered_once(relay, upstream, ident)
    equal(relay.wait_for("delivered", id=ident)["verified"], "pin", "verified")


# ---- our certificate -----------------------------------------------------------

def private(path, text=None):
    if text is not None:
        path.write_text(text)
    path.chmod(0o600)
    return path


def test_client_certificate(t):
    """The files are root's alone where we are root: the relay reads them before it gives root up."""
    ca = Pki(t)
    ours, stranger = ca.pair(None, name="ours"), self_signed(t, "stranger")
    server = ca.pair(HERE)
    context = server.server_context(clients=ca.file)
    upstream = Upstream(t, tls=context)
    verified = f'tls = "required"\n tls_ca_file = "{ca.file}"\n'
    private(ours.key)
    relay = start(t, upstream, verified + f'tls_cert = "{ours.cert}"\n tls_key = "{ours.key}"')
    ident = submit(relay)
    delivered_once(relay, upstream, ident)
    equal(upstream.messages[0].session.socket.getpeercert()["subject"], ((("commonName", "ours"),),), "who we are")
    # one file with both
    both = private(t.tmp / "both.pem", ours.cert.read_text() + ours.key.read_text())
    relay = start(t, upstream, verified + f'tls_cert = "{both}"', name="both")
    submit(relay)
    upstream.wait_messages(2)
    # none, and a stranger's
    relay = start(t, upstream, verified, name="none")
    submit(relay)
    assert "it wants a client certificate: tls_cert" in relay.wait_for("upstream_down")["reason"]
    private(stranger.key)
    relay = start(t, upstream, verified + f'tls_cert = "{stranger.cert}"\n tls_key = "{stranger.key}"', name="stranger")
    submit(relay)
    reason = relay.wait_for("upstream_down")["reason"]
    assert "it was shown the client certificate of tls_cert" in reason, reason
    equal(len(upstream.received), 2, "messages")


def not_started(t, more, *reasons, env=None):
    text = f'localaddr = "127.0.0.1:0"\nspool = "{t.tmp}/spool"\nupstream "main" {{\n remoteaddr = "127.0.0.1:465"\n {more}\n}}\n'
    if os.geteuid() == 0:
        text += f'user = "{harness.ROOT_USERS[0]}"\nsmtp_user = "{harness.ROOT_USERS[1]}"\n'
    (t.tmp / "bad.conf").write_text(text)
    done = t.run([BUILDDIR / "posthoused", "-t", "-f", t.tmp / "bad.conf"], check=1, env=env)
    for reason in reasons:
        assert re.search(reason, done.stderr.decode()), done.stderr


def test_half_a_pair(t):
    """All of it at the start, before any mail is taken."""
    ca = Pki(t)
    ours, other = ca.pair(None, name="ours"), ca.pair(HERE, name="other")
    private(ours.key)
    private(other.key)
    not_started(t, f'tls_cert = "{private(ca.pair(None, name="alone").cert)}"', "no private key .* and no tls_key")
    not_started(t, f'tls_cert = "{ours.cert}"\n tls_key = "{other.key}"', 'upstream "main": tls_key: .*does not belong')
    not_started(t, f'tls_cert = "{ours.key}"\n tls_key = "{ours.key}"', "no certificate")
    not_started(t, f'tls_cert = "{t.tmp}/none"\n tls_key = "{ours.key}"', "tls_cert: .*none: No such file")
    encrypted = t.tmp / "encrypted.key"
    t.run([ca.openssl, "pkey", "-in", ours.key, "-aes128", "-passout", "pass:x", "-out", encrypted], check=0)
    private(encrypted)
    not_started(t, f'tls_cert = "{ours.cert}"\n tls_key = "{encrypted}"', "private key is encrypted")
    ours.key.chmod(0o644)
    not_started(t, f'tls_cert = "{ours.cert}"\n tls_key = "{ours.key}"', "tls_key: .*can be read by everyone")
    both = t.tmp / "both.pem"
    both.write_text(ours.cert.read_text() + ours.key.read_text())
    both.chmod(0o644)
    not_started(t, f'tls_cert = "{both}"', "tls_cert: .*can be read by everyone")


# ---- credentials ---------------------------------------------------------------

def test_systemd_credentials(t):
    upstream = Upstream(t, users={"relay": "pw of systemd"})
    folder = t.tmp / "credentials"
    folder.mkdir(mode=0o700)
    (folder / "smtp").write_text("pw of systemd\n")
    (folder / "smtp").chmod(0o400)
    relay = start(t, upstream, 'user = "relay"\n password_file = "credential:smtp"',
                  env={**os.environ, "CREDENTIALS_DIRECTORY": str(folder)})
    delivered_once(relay, upstream, submit(relay))
    equal(upstream.messages[0].session.user, "relay", "authenticated as")
    without = {k: v for k, v in os.environ.items() if k != "CREDENTIALS_DIRECTORY"}
    not_started(t, 'user = "relay"\n password_file = "credential:smtp"', "LoadCredential=smtp:PATH", env=without)
    not_started(t, 'user = "relay"\n password_file = "credential:other"', "credentials/other: No such file",
                env={**without, "CREDENTIALS_DIRECTORY": str(folder)})


# ---- REQUIRETLS (RFC 8689) ---------------------------------------------------------

REQUIRETLS = ("PIPELINING", "8BITMIME", "SIZE 0", "ENHANCEDSTATUSCODES", "REQUIRETLS", "DSN")
PLAIN = tuple(word for word in REQUIRETLS if word != "REQUIRETLS")


class SecureClient(Client):
    """After STARTTLS."""

    def __init__(self, relay, ca):
        super().__init__(relay)
        equal("REQUIRETLS" in self.ehlo.lines, False, "REQUIRETLS is offered in the clear")
        self.cmd("STARTTLS", 220)
        self.socket = ssl.create_default_context(cafile=ca.file).wrap_socket(self.socket, server_hostname="127.0.0.1")
        self.ehlo = self.cmd("EHLO client.test", 250)


def secure_relay(t, ca, upstream, more=None, name="posthoused"):
    server = ca.pair(HERE, name=f"{name}-listener")
    private(server.key)
    more = f'tls = "required"\n tls_ca_file = "{ca.file}"' if more is None else more
    relay = start(t, upstream, more, name=name,
                  top=f'tls = "starttls"\ntls_cert = "{server.cert}"\ntls_key = "{server.key}"\n')
    return relay


def test_requiretls_is_passed_on(t):
    ca = Pki(t)
    upstream = Upstream(t, tls=ca.pair(HERE).server_context(), extensions=REQUIRETLS)
    relay = secure_relay(t, ca, upstream)
    with SecureClient(relay, ca) as client:
        assert "REQUIRETLS" in client.ehlo.lines, client.ehlo.lines
        client.cmd("MAIL FROM:<a@client.test> REQUIRETLS=1", 501)
        client.message(CONTENT, params=" REQUIRETLS")
        client.message(b"TLS-Required: No\r\n" + CONTENT)
    first, second = sorted(upstream.wait_messages(2), key=lambda m: len(m.content))
    assert first.mail_line.endswith(" REQUIRETLS"), first.mail_line
    assert "REQUIRETLS" not in second.mail_line, second.mail_line
    assert second.session.tls and b"TLS-Required: No\r\n" in second.content, "the operator's word counts, the field is kept"
    with Client(relay) as client:
        client.cmd("MAIL FROM:<a@client.test> REQUIRETLS", 555)


def test_requiretls_is_kept_and_shown(t):
    ca = Pki(t)
    upstream = Upstream(t, tls=ca.pair(HERE).server_context(), extensions=REQUIRETLS)
    upstream.on("MAIL", "451 4.3.0 later")
    relay = secure_relay(t, ca, upstream)
    with SecureClient(relay, ca) as client:
        ident = client.message(CONTENT, params=" REQUIRETLS").lines[-1].split()[-1]
    relay.wait_for("deferred", id=ident)
    assert "REQUIRETLS" in t.posthouse("--spool", relay.spool, "show", ident)
    equal(json.loads(t.posthouse("--spool", relay.spool, "show", "--json", ident))["requiretls"], True, "show --json")
    relay.stop()
    upstream.clear()
    again = harness.Daemon(t, relay.argv[1:], name="again", spool=relay.spool)
    again.wait_for("delivered", id=ident)
    assert upstream.messages[-1].mail_line.endswith(" REQUIRETLS"), upstream.messages[-1].mail_line


def returned(t, ca, upstream, more, reason):
    """A REQUIRETLS message that cannot go: it fails, and its report tells, without the body."""
    relay = secure_relay(t, ca, upstream, more)
    with SecureClient(relay, ca) as client:
        ident = client.message(CONTENT + b"secret\r\n", params=" REQUIRETLS RET=FULL").lines[-1].split()[-1]
    failed = relay.wait_for("failed", id=ident)
    assert re.match(r"550 5\.7\.30 .*" + reason, failed["reply"]), failed
    report = upstream.wait_messages(1)[0]
    equal(report.sender, "", "a report's sender")
    assert b"5.7.30" in report.content and b"Subject: relay" in report.content, report.content
    assert b"secret" not in report.content, "REQUIRETLS means RET=HDRS"
    return report


def test_requiretls_not_announced(t):
    """The report goes all the same (RFC 8689 5)."""
    ca = Pki(t)
    upstream = Upstream(t, tls=ca.pair(HERE).server_context(), extensions=PLAIN)
    report = returned(t, ca, upstream, None, "does not announce it")
    assert "REQUIRETLS" not in report.mail_line, report.mail_line


def test_requiretls_refused_for_other_reasons(t):
    """A bounce of such a message demands what it demanded."""
    ca = Pki(t)
    upstream = Upstream(t, tls=ca.pair(HERE).server_context(), extensions=REQUIRETLS)
    upstream.on("RCPT", "550 5.1.1 nobody", match="rcpt@")
    relay = secure_relay(t, ca, upstream)
    with SecureClient(relay, ca) as client:
        client.message(CONTENT + b"secret\r\n", params=" REQUIRETLS")
    report = upstream.wait_messages(1)[0]
    assert report.mail_line.startswith("MAIL FROM:<>") and report.mail_line.endswith(" REQUIRETLS"), report.mail_line
    assert b"secret" not in report.content, report.content


def test_requiretls_waits_for_another_address(t):
    """A fall-back that cannot returns nothing that the first address takes when it is back; when neither can, it fails."""
    ca = Pki(t)
    first, fallback = (Upstream(t, tls=ca.pair(HERE).server_context(), extensions=e) for e in (REQUIRETLS, PLAIN))
    first.on("connect", "421 4.3.2 closed")
    server = ca.pair(HERE, name="listener")
    private(server.key)
    relay = t.daemon(config=f'tls = "starttls"\ntls_cert = "{server.cert}"\ntls_key = "{server.key}"\n{FAST}'
                     f'upstream "main" {{\n remoteaddr = {{ "127.0.0.1:{first.port}", "127.0.0.1:{fallback.port}" }}\n'
                     f' probe_min = "50ms"\n probe_max = "200ms"\n idle_timeout = "50ms"\n tls = "required"\n tls_ca_file = "{ca.file}"\n}}\n')

    def send(params):
        with SecureClient(relay, ca) as client:
            return client.message(CONTENT, params=params).lines[-1].split()[-1]

    ident = send(" REQUIRETLS")
    send("")
    fallback.wait_messages(1)
    deferred = relay.wait_for("deferred", id=ident)
    assert deferred["reply"].startswith("450 4.7.30 REQUIRETLS"), deferred
    first.clear()
    relay.wait_for("delivered", id=ident)
    assert first.messages[0].mail_line.endswith(" REQUIRETLS"), first.messages[0].mail_line
    equal((len(fallback.messages), relay.events("failed")), (1, []), "messages of the fall-back, failures")
    first.extensions = PLAIN
    harness.wait_until(lambda: not first.open_sessions, "its session to end")
    ident = send(" REQUIRETLS")
    assert relay.wait_for("failed", id=ident)["reply"].startswith("550 5.7.30"), "neither can"


def test_requiretls_needs_a_verified_upstream(t):
    """Two upstreams: one is verified, so REQUIRETLS is offered; what goes to the other fails."""
    ca = Pki(t)
    upstream = Upstream(t, tls=ca.pair(HERE).server_context(), extensions=REQUIRETLS)
    server = ca.pair(HERE, name="listener")
    private(server.key)
    relay = t.daemon(config=f'tls = "starttls"\ntls_cert = "{server.cert}"\ntls_key = "{server.key}"\nlog_level = debug\n'
                     f'upstream "open" {{\n remoteaddr = "127.0.0.1:{upstream.port}"\n tls = opportunistic\n}}\n'
                     f'upstream "safe" {{\n remoteaddr = "127.0.0.1:{upstream.port}"\n tls = required\n'
                     f' tls_ca_file = "{ca.file}"\n}}\n'
                     'route {\n recipient = "safe.test"\n upstream = "safe"\n}\n')
    with SecureClient(relay, ca) as client:
        client.message(CONTENT, rcpts=("a@safe.test", "b@open.test"), params=" REQUIRETLS")
    equal(relay.wait_for("delivered", to="a@safe.test")["verified"], "yes", "verified")
    assert "verified" in relay.wait_for("failed", to="b@open.test")["reply"]
    plain = t.daemon(Upstream(t), name="plain", args=())
    with Client(plain) as client:
        assert "REQUIRETLS" not in client.ehlo.lines


if __name__ == "__main__":
    harness.main(__name__)
