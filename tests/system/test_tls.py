# SPDX-License-Identifier: ISC
"""TLS of clients: STARTTLS and implicit, by OpenSSL's, Python's and swaks' clients, good ones and others."""

import os
import re
import signal
import smtplib
import socket
import ssl
import struct
import subprocess
import time

import harness
from certificates import Pki, TlsClient, openssl_client
from harness import equal, need_program, wait_until
from smtp_peers import Client, Upstream, without_received

CONTENT = b"Subject: tls\r\n\r\n.dot\r\nbody\r\n"
V10, V12, V13 = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def start(t, pki, pair=None, mode="starttls", more="", upstream=None, **options):
    """A daemon with TLS; debug, so that each handshake is logged."""
    pair = pair or pki.pair()
    return t.daemon(upstream or Upstream(t), config=f"tls = {mode}\n{pair.config()}log_level = debug\n{more}", **options)


def failed(relay, reason, count=1):
    """The log says that so many handshakes failed, and why."""
    return relay.wait_for("tls_failed", count=count, reason=re.compile(reason))


# ---- the three modes -----------------------------------------------------------------

def test_starttls(t):
    pki, upstream = Pki(t), Upstream(t)
    relay = start(t, pki, upstream=upstream)
    with TlsClient(relay) as client:
        assert "STARTTLS" in client.ehlo.lines, client.ehlo
        client.start_tls(pki.context())
        client.cmd("MAIL FROM:<a@b.test>", 503)  # all that was said is forgotten
        ehlo = client.cmd("EHLO again.test", 250)
        assert "STARTTLS" not in ehlo.lines, ehlo
        client.cmd("STARTTLS", 554)
        client.message(CONTENT)
        client.cmd("QUIT", 221)
        equal(client.socket.recv(1), b"", "close_notify")  # its lack would be an exception
    event = relay.wait_for("accepted", tls="TLSv1.3", cipher=re.compile("^TLS_"))
    equal(event["proto"], "ESMTPS", "protocol")
    message = upstream.wait_messages(1)[0]
    assert re.search(rb"with ESMTPS id \S+\r\n\tfor <[^>]+>\r\n\ttls TLS_AES_\w+;\r\n", message.content), message.content
    equal(without_received(message.content), CONTENT, "content")


def test_implicit(t):
    pki, upstream = Pki(t), Upstream(t)
    relay = start(t, pki, mode="implicit", upstream=upstream)
    with TlsClient(relay, pki.context(), implicit=True) as client:
        assert "STARTTLS" not in client.ehlo.lines, client.ehlo
        client.cmd("STARTTLS", 554)
        client.message(CONTENT)
        client.cmd("QUIT", 221)
        equal(client.socket.recv(1), b"", "close_notify")
    upstream.wait_messages(1)
    with Client(relay, helo=None) as client:
        client.send("EHLO in.the.clear\r\n")
        data = client.socket.recv(1000)
        assert not data.startswith(b"2"), f"answered in the clear: {data!r}"
    failed(relay, "what the client sent is not TLS")


def test_required(t):
    pki = Pki(t)
    relay = start(t, pki, mode="required")
    with TlsClient(relay) as client:
        for line in ("MAIL FROM:<a@b.test>", "VRFY x", "DATA"):
            assert "5.7.0" in client.cmd(line, 530).text, line
        client.cmd("NOOP", 250)
        client.start_tls(pki.context())
        client.cmd("EHLO x", 250)
        client.message(CONTENT)


def test_unix_socket_stays_in_the_clear(t):
    pki = Pki(t)
    pair = pki.pair()
    relay = t.daemon(Upstream(t), config=f'localaddr = {{ "127.0.0.1:0", "unix:{t.tmp}/smtp" }}\ntls = required\n'
                     + pair.config()).ready()
    with Client(f"{t.tmp}/smtp") as client:
        assert "STARTTLS" not in client.ehlo.lines, client.ehlo
        client.message(CONTENT)
    with TlsClient(relay, pki.context()) as client:
        client.message(CONTENT)


def test_clients_of_others(t):
    """Python's smtplib and swaks."""
    pki, upstream = Pki(t), Upstream(t)
    pair = pki.pair("DNS:localhost")
    relay = t.daemon(upstream, config=f'{pair.config()}listener a {{\n localaddr = "127.0.0.1:0" tls = starttls\n}}\n'
                     'listener b {\n localaddr = "127.0.0.1:0" tls = implicit\n}\n')
    ports = relay.ports(2)
    smtp = smtplib.SMTP("localhost", ports[0], timeout=harness.DEADLINE)
    smtp.starttls(context=pki.context())
    smtp.sendmail("a@b.test", ["c@d.test"], CONTENT)
    smtp.quit()
    smtp = smtplib.SMTP_SSL("localhost", ports[1], timeout=harness.DEADLINE, context=pki.context())
    smtp.sendmail("a@b.test", ["c@d.test"], CONTENT)
    smtp.quit()
    upstream.wait_messages(2)
    swaks = need_program("swaks")
    if b"TLS supported" not in t.run([swaks, "--support"]).stdout.replace(b"=== ", b""):
        raise harness.Skip("swaks has no TLS (Debian package libnet-ssleay-perl)")
    for port, how in ((ports[0], "--tls"), (ports[1], "--tlsc")):
        t.run([swaks, "--server", f"127.0.0.1:{port}", how, "--tls-ca-path", pki.file, "--to", "c@d.test", "--from",
               "a@b.test"], check=0)
    upstream.wait_messages(4)


# ---- versions, ciphers, certificates ----------------------------------------------------

def test_profiles(t):
    """What each takes, with an openssl.cnf that would forbid the old ones and another that would allow them."""
    pki = Pki(t)
    conf = t.tmp / "openssl.cnf"
    conf.write_text("openssl_conf = o\n[o]\nssl_conf = s\n[s]\nsystem_default = d\n[d]\nMinProtocol = TLSv1.2\n"
                    "CipherString = DEFAULT@SECLEVEL=2\n")
    pair = pki.pair(key="rsa")
    config = pair.config() + "".join(f'listener {name} {{\n localaddr = "127.0.0.1:0" tls = starttls tls_profile = {name}\n}}\n'
                                     for name in ("modern", "intermediate", "legacy"))
    relay = t.daemon(Upstream(t), config=config, env={**os.environ, "OPENSSL_CONF": str(conf)})
    modern, intermediate, legacy = relay.ports(3)
    old = ["-cipher", "ALL:@SECLEVEL=0"]
    wanted = {modern: {"-tls1_3"}, intermediate: {"-tls1_3", "-tls1_2"},
              legacy: {"-tls1_3", "-tls1_2", "-tls1_1", "-tls1"}}
    for port, good in wanted.items():
        for version in ("-tls1", "-tls1_1", "-tls1_2", "-tls1_3"):
            text, _status = openssl_client(t, port, version, *old)
            equal("221 2.0.0" in text, version in good, f"{version}, profile {list(wanted).index(port)}: {text[-600:]}")
    failed(relay, "too old for tls_profile .it says TLS 1.0", 2)
    for cipher, good in (("ECDHE-RSA-AES128-GCM-SHA256", True), ("DHE-RSA-AES256-GCM-SHA384", True),
                         ("AES128-SHA", False), ("ECDHE-RSA-AES128-SHA", False)):
        text, _status = openssl_client(t, intermediate, "-tls1_2", "-cipher", cipher)
        equal("221 2.0.0" in text, good, f"intermediate and {cipher}")
    failed(relay, "no cipher that tls_profile", 2)
    assert "221 2.0.0" in openssl_client(t, legacy, "-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0")[0]


def test_server_names(t):
    """The name decides, then the type of key; who asks for nothing known gets the first pair."""
    pki = Pki(t)
    pairs = [pki.pair("DNS:a.test", name="first"), pki.pair("DNS:b.test,DNS:c.test", name="b-ec"),
             pki.pair("DNS:b.test", key="rsa", name="b-rsa"), pki.pair("DNS:*.w.test", name="wild"),
             pki.pair("DNS:x.w.test", key="rsa", name="x-rsa")]
    certs, keys = (", ".join(f'"{getattr(p, kind)}"' for p in pairs) for kind in ("cert", "key"))
    relay = t.daemon(Upstream(t), config=f"tls = starttls\ntls_cert = {{ {certs} }}\ntls_key = {{ {keys} }}\n")

    def got(name, **context):
        context = pki.context(**context)
        context.check_hostname = False
        with TlsClient(relay, context, name=name) as client:
            return client.common_name()

    rsa = {"most": V12, "ciphers": "ECDHE-RSA-AES128-GCM-SHA256"}
    for name, wanted in (("a.test", "first"), ("b.test", "b-ec"), ("B.Test", "b-ec"), ("c.test", "b-ec"), ("y.w.test", "wild"),
                         ("x.w.test", "wild"), ("y.x.w.test", "first"), ("w.test", "first"), ("other.test", "first"),
                         (None, "first")):
        equal(got(name), wanted, f"certificate for {name}")
    for name, wanted in (("b.test", "b-rsa"), ("x.w.test", "x-rsa")):
        equal(got(name, **rsa), wanted, f"RSA certificate for {name}")
    text, _status = openssl_client(t, relay.port, "-servername", "b.test", "-showcerts")
    assert "CN = b-ec" in text, text


def test_chain_is_sent(t):
    """Also with the key in the same file."""
    pki = Pki(t)
    between = pki.authority("between")
    pair = pki.pair(ca=between, name="leaf")
    both = t.tmp / "both.pem"
    both.write_bytes(pair.cert.read_bytes() + between.cert.read_bytes() + pair.key.read_bytes())
    both.chmod(0o600)
    relay = t.daemon(Upstream(t), config=f'tls = implicit\ntls_cert = "{both}"\n')
    with TlsClient(relay, pki.context(), implicit=True) as client:
        equal(client.common_name(), "leaf", "certificate")


def bad_files(t, pki):
    """(configuration, what is said of it)"""
    good, other = pki.pair(name="good"), pki.pair(name="other")
    between = pki.authority("between")
    leaf = pki.pair(ca=between, name="leaf")
    garbage, empty = t.tmp / "garbage", t.tmp / "empty"
    garbage.write_bytes(b"\x00\xff not a certificate\n" * 20)
    empty.write_bytes(b"")
    for file in (garbage, empty):
        file.chmod(0o600)

    def config(cert=good.cert, key=good.key):
        return f'tls_cert = "{cert}"\n' + (f'tls_key = "{key}"\n' if key else "")

    def changed(name, data, mode=0o600):
        path = t.tmp / name
        path.write_bytes(data)
        path.chmod(mode)
        return path

    encrypted = t.tmp / "encrypted.key"
    t.run([pki.openssl, "pkey", "-in", good.key, "-aes256", "-passout", "pass:x", "-out", encrypted], check=0)
    pem = good.cert.read_bytes()
    weak = pki.pair(key="rsa1024", name="weak")
    yield config(key=t.tmp / "none.key"), "none.key: No such file or directory"
    yield config(cert=t.tmp / "none.pem"), "none.pem: No such file or directory"
    yield config(cert=t.tmp), "is not a regular file"
    yield config(key=other.key), "other.key does not belong to the certificate in .*good.pem"
    yield config(key=None), "good.pem has no private key in it: set tls_key"
    yield config(key=changed("open.key", good.key.read_bytes(), 0o644)), "open.key can be read by everyone .mode 0644.: chmod"
    yield config(cert=changed("open.pem", pem + good.key.read_bytes(), 0o644), key=None), "open.pem can be read by everyone"
    yield config(key=encrypted), "encrypted.key: the private key is encrypted: .*openssl pkey"
    yield config(cert=garbage), "garbage has no certificate in PEM form"
    yield config(key=garbage), "garbage has no private key that can be read"
    yield config(cert=empty), "empty is empty"
    yield config(key=empty), "empty is empty"
    yield config(cert=changed("cut.pem", pem[:len(pem) // 2])), "cut.pem: certificate 1 in it cannot be read"
    yield config(cert=changed("cut2.pem", pem + pem[:len(pem) // 2])), "cut2.pem: certificate 2 in it cannot be read"
    yield config(cert=good.key), "good.key has no certificate in PEM form"
    yield config(key=good.cert), "good.pem has no private key|good.pem can be read by everyone"
    yield weak.config(), "weak.pem: OpenSSL refuses the certificate: .*too small"
    yield (config(cert=changed("turned.pem", between.cert.read_bytes() + leaf.cert.read_bytes()), key=leaf.key),
           "turned.pem: the server's own certificate is number 2 in it and must be the first")
    yield (config(cert=changed("strange.pem", leaf.cert.read_bytes() + other.cert.read_bytes()), key=leaf.key),
           "strange.pem: certificate 2 in it does not sign certificate 1")
    yield config() + f'tls_client_cert = required\ntls_client_ca = "{t.tmp}/none.pem"\n', "none.pem: No such file"
    yield config() + f'tls_client_cert = required\ntls_client_ca = "{garbage}"\n', "garbage has no certificate in PEM form"


def test_bad_files(t):
    """Each an error of -t and of the start, with the file and what to do."""
    pki = Pki(t)
    for config, wanted in bad_files(t, pki):
        path = t.config("tls = starttls\n" + config, "127.0.0.1:9", spool=t.tmp / "spool", name="bad")
        for how in ("-t", "-F"):
            done = t.run([harness.BUILDDIR / "posthoused", how, "-f", path])
            text = done.stderr.decode()
            equal(done.returncode, 1, f"exit status of {how} with {wanted}")
            assert re.search(wanted, text), f"{how}: {text!r} instead of {wanted}"
            assert 'listener "default": ' in text, text
            assert not re.search("Sanitizer|runtime error", text), text


def test_expiry_is_warned_of(t):
    pki = Pki(t)
    soon, late = pki.pair("DNS:soon.test", name="soon", ends=5), pki.pair("DNS:late.test", name="late", ends=50)
    config = (f'tls = starttls\ntls_cert = {{ "{soon.cert}", "{late.cert}" }}\ntls_key = {{ "{soon.key}", "{late.key}" }}\n')
    relay = t.daemon(Upstream(t), config=config).ready()
    event = relay.wait_for("certificate_expires", file=str(soon.cert), names="soon.test", days=4)
    assert event["ends"].startswith("20"), event
    done = t.run([harness.BUILDDIR / "posthoused", "-t", "-f", t.tmp / "posthoused.conf"], check=0)
    assert re.search(r"warning: .*soon.pem: the certificate \(soon.test\) ends in 4 days", done.stderr.decode()), done
    equal(relay.events("certificate_expires", file=str(late.cert)), [], "warnings of what ends late")
    quiet = t.daemon(Upstream(t), config=config + "tls_expiry_warning = 0\n", name="quiet").ready()
    os.kill(quiet.pid, signal.SIGHUP)
    quiet.wait_for("reloaded")
    equal(quiet.events("certificate_expires"), [], "warnings where none are wanted")


def test_out_of_date_is_better_than_no_mail(t):
    """At a start: it is used, loudly, and posthoused -t tells it. (A renewal out of date is refused: test_tls_reload.)"""
    pki = Pki(t)
    for name, dates, word, event in (("old", (-9, -1), "expired at 20.*: renew it", "certificate_expired"),
                                     ("early", (5, 9), "is not valid before 20.*clock", "certificate_early")):
        pair = pki.pair(name=name, begins=dates[0], ends=dates[1])
        config = "tls = starttls\ntls_expiry_warning = 0\n" + pair.config()
        relay = t.daemon(Upstream(t), config=config, name=name).ready()
        relay.wait_for(event, file=str(pair.cert))
        context = pki.context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with TlsClient(relay, context) as client:
            client.message()
        done = t.run([harness.BUILDDIR / "posthoused", "-t", "-f", t.tmp / f"{name}.conf"], check=0)
        assert re.search(f"warning: .*{name}.pem: the certificate .* {word}", done.stderr.decode()), done


# ---- resumption ---------------------------------------------------------------------------

def resumed(relay, context, session, name="mail.test"):
    with TlsClient(relay, context, session=session, name=name) as client:
        client.cmd("QUIT", 221)
        return client.socket.session_reused


def ticket(relay, context):
    with TlsClient(relay, context) as client:
        client.cmd("NOOP", 250)  # TLS 1.3 sends it behind the handshake
        client.cmd("QUIT", 221)
        return client.socket.session


def test_tickets_across_workers(t):
    pki = Pki(t)
    relay = start(t, pki, more="min_spare = 4\nmax_spare = 6\n")
    for version in (V12, V13):
        context = pki.context(least=version, most=version)
        session = ticket(relay, context)
        clients = [TlsClient(relay, context, session=session) for _ in range(5)]  # at once: a worker each
        equal([c.socket.session_reused for c in clients], [True] * 5, f"resumed with {version.name}")
        for client in clients:
            client.close()
        workers = {e.pid for e in relay.wait_for("tls", count=5, resumed="1")}
        assert len(workers) >= 4, workers
        # workers that are forked later, too
        os.kill(relay.pid, signal.SIGHUP)
        wait_until(lambda: not workers & set(relay.children("worker")), "new workers")
        assert resumed(relay, context, session), f"{version.name}: not with a new worker"
    session_file = t.tmp / "session"
    text, _status = openssl_client(t, relay.port, "-tls1_3", "-sess_out", session_file)
    assert "New, TLSv1.3" in text, text
    text, _status = openssl_client(t, relay.port, "-tls1_3", "-sess_in", session_file)
    assert "Reused, TLSv1.3" in text, text


def test_ticket_keys_turn(t):
    """A ticket is of use for its lifetime at most; 0: there are none."""
    pki = Pki(t)
    relay = start(t, pki, more="tls_ticket_lifetime = 3s\n")
    context = pki.context(least=V12, most=V12)
    session = ticket(relay, context)
    began = time.monotonic()
    assert resumed(relay, context, session), "not resumed at once"
    wait_until(lambda: not resumed(relay, context, session), "the ticket to be too old")
    assert time.monotonic() - began < 15 * harness.SLOW
    assert resumed(relay, context, ticket(relay, context)), "not resumed with the next key"
    none = start(t, pki, more="tls_ticket_lifetime = 0\n", name="none")
    for version in (V12, V13):
        context = pki.context(least=version, most=version)
        session = ticket(none, context)
        assert session is None or not session.has_ticket, f"a ticket with {version.name}"
        assert session is None or not resumed(none, context, session), version.name


def test_tickets_of_another_listener(t):
    """What began where no certificate is asked for does not go on where one is required."""
    pki = Pki(t)
    relay = t.daemon(Upstream(t), config=pki.pair().config() + f'tls = starttls\nlog_level = debug\n'
                     'listener a {\n localaddr = "127.0.0.1:0"\n}\n'
                     f'listener b {{\n localaddr = "127.0.0.1:0" tls_client_cert = ask tls_client_ca = "{pki.file}"\n}}\n')
    a, b = relay.ports(2)
    for version in (V12, V13):
        context = pki.context(least=version, most=version)
        session = ticket(a, context)
        assert resumed(a, context, session)
        assert not resumed(b, context, session), version.name


# ---- certificates of clients ---------------------------------------------------------------

def sha256(t, cert):
    done = t.run([need_program("openssl"), "x509", "-in", cert, "-outform", "DER"], check=0)
    return __import__("hashlib").sha256(done.stdout).hexdigest()


def test_client_certificates_asked_for(t):
    pki, stranger = Pki(t), Pki(t, "stranger")
    relay = start(t, pki, more=f'tls_client_cert = ask\ntls_client_ca = "{pki.file}"\n')
    known, unknown = pki.pair("DNS:printer.test", name="printer"), stranger.pair("DNS:printer.test", name="liar")
    old = pki.pair("DNS:printer.test", name="oldclient", begins=-9, ends=-1)
    last = None
    for client_pair, verified in ((known, "1"), (unknown, "0"), (old, "0")):
        with TlsClient(relay, pki.context(client=client_pair)) as client:
            client.cmd("QUIT", 221)
        last = relay.wait_for("tls", after=last)
        equal((last["fingerprint"], last["verified"]), (sha256(t, client_pair.cert), verified), "what is known of it")
    with TlsClient(relay, pki.context()) as client:
        client.message(CONTENT)
    last = relay.wait_for("tls", after=last)
    assert "fingerprint" not in last, last
    # without an authority: any, for its fingerprint
    bare = start(t, pki, more="tls_client_cert = ask\n", name="bare")
    with TlsClient(bare, pki.context(client=known)) as client:
        client.message(CONTENT)
    equal(bare.wait_for("tls")["verified"], "0", "verified by nobody")
    equal(bare.wait_for("accepted")["fingerprint"], sha256(t, known.cert), "fingerprint in the log")


def test_client_certificates_required(t):
    pki, stranger = Pki(t), Pki(t, "stranger")
    relay = start(t, pki, mode="implicit", more=f'tls_client_cert = required\ntls_client_ca = "{pki.file}"\n')
    with TlsClient(relay, pki.context(client=pki.pair(name="client")), implicit=True) as client:
        client.message(CONTENT)
    for pair, reason in ((None, "no certificate, and tls_client_cert = required"),
                         (stranger.pair(name="liar"), "the client's certificate: .*issuer|self.signed"),
                         (pki.pair(name="old", begins=-9, ends=-1), "the client's certificate: .*expired")):
        for version in (V12, V13):
            try:
                TlsClient(relay, pki.context(client=pair, least=version, most=version), implicit=True)
                raise AssertionError(f"let in: {reason}")
            except (OSError, EOFError):
                pass
        failed(relay, reason, 2)


def test_resumed_client_certificates(t):
    """The certificate is known in a resumed session; with another authority there is none."""
    pki, other = Pki(t), Pki(t, "other")
    authorities = t.tmp / "authorities.pem"
    authorities.write_bytes(pki.file.read_bytes())
    relay = start(t, pki, more=f'tls_client_cert = ask\ntls_client_ca = "{authorities}"\n')
    pair = pki.pair("DNS:printer.test", name="printer")
    for version in (V12, V13):
        context = pki.context(client=pair, least=version, most=version)
        session = ticket(relay, context)
        seen = relay.events_seen[-1]
        assert resumed(relay, context, session), version.name
        event = relay.wait_for("tls", after=seen, resumed="1")
        equal((event["fingerprint"], event["verified"]), (sha256(t, pair.cert), "1"), "in a resumed session")
        authorities.write_bytes(other.file.read_bytes())
        os.kill(relay.pid, signal.SIGHUP)
        relay.wait_for("reloaded", after=seen, what="certificates")
        wait_until(lambda: not resumed(relay, context, session), "the old sessions to be of no use")
        authorities.write_bytes(pki.file.read_bytes())
        os.kill(relay.pid, signal.SIGHUP)
        old = set(relay.children("worker"))  # some may know the other authority
        relay.wait_for("reloaded", what="certificates", after=relay.wait_for("reloaded", after=seen, what="certificates"))
        wait_until(lambda: not old & set(relay.children("worker")), "other workers")
        wait_until(lambda: resumed(relay, context, ticket(relay, context)), "the new ones to be")


# ---- clients that mean no good ----------------------------------------------------------------

def test_injection(t):
    """What comes in the clear behind STARTTLS is thrown away, or ends the session: it is never answered in TLS."""
    pki, upstream = Pki(t), Upstream(t)
    relay = start(t, pki, upstream=upstream)
    with TlsClient(relay) as client:
        client.send("STARTTLS\r\nEHLO evil.test\r\nMAIL FROM:<evil@evil.test>\r\nRCPT TO:<victim@d.test>\r\nDATA\r\n")
        client.expect(220)
        equal(client.buffer, b"", "answers to what was injected")
        client.wrap(pki.context(), "mail.test")
        client.socket.settimeout(0.3)
        try:
            raise AssertionError(f"an answer to what was injected: {client.socket.recv(1000)!r}")
        except TimeoutError:
            client.socket.settimeout(harness.DEADLINE)
        client.cmd("DATA", 503)
        client.cmd("EHLO x", 250)
        client.message(CONTENT, sender="good@client.test")
    equal([m.sender for m in upstream.wait_messages(1)], ["good@client.test"], "senders")
    with TlsClient(relay) as client:
        client.cmd("STARTTLS", 220)
        client.send("NOOP\r\nQUIT\r\n")
        data = b"".join(iter(lambda: client.socket.recv(1000), b""))
        assert not data.startswith(b"2") and b"221" not in data, f"answered in the clear: {data!r}"
    failed(relay, "what the client sent is not TLS")


def test_looks_at_the_port(t):
    """Who connects and leaves is no failed handshake; behind a PROXY header TLS begins as everywhere."""
    pki, upstream = Pki(t), Upstream(t)
    relay = start(t, pki, mode="implicit", upstream=upstream, more='proxy_protocol = "127.0.0.1"\nrelay_from = "192.0.2.0/24"\n')
    header = "PROXY TCP4 192.0.2.7 192.0.2.1 4711 465\r\n"
    with Client(relay, helo=None) as client:
        client.send(header)
    relay.wait_for("session", peer="192.0.2.7:4711")
    equal(relay.events("tls_failed"), [], "failed handshakes")
    client = TlsClient(relay, helo=None)
    client.send(header)
    client.wrap(pki.context(), "mail.test")
    client.expect(220)
    client.cmd("EHLO x", 250)
    client.message(CONTENT)
    client.close()
    equal(relay.wait_for("accepted")["peer"], "192.0.2.7:4711", "peer")
    with Client(relay, helo=None) as client:  # the header and what follows in one segment
        client.send(header + "EHLO in.the.clear\r\n")
        send_all(client, b"")
    failed(relay, "not TLS")


def send_all(client, data):
    try:
        client.send(data)
        while client.socket.recv(65536):
            pass
    except OSError:
        pass


def test_garbage(t):
    pki = Pki(t)
    relay = start(t, pki, mode="implicit")
    hello = b"\x16\x03\x01\x40\x00" + b"\x01\x02\x00\x00" + b"\x03\x03" + bytes(16384 - 6)  # says it has 128 KiB
    for data, reason in ((b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "the client speaks HTTP"),
                         (b"\x80\x2e\x01\x00\x02" + bytes(60), "."), (b"\x00" * 2000, "not TLS"),
                         (bytes(range(256)) * 40, "."), (b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", "."),
                         (b"\x15\x03\x01\x00\x02\x02\x28", "."),
                         (hello + (b"\x16\x03\x01\x40\x00" + bytes(16384)) * 40, "too large|.")):
        before = len(relay.events("tls_failed"))
        with Client(relay, helo=None) as client:
            send_all(client, data)
        event = relay.wait_for("tls_failed", count=before + 1)
        event = event if before == 0 else event[before]
        assert re.search(reason, event["reason"]), event
        assert event["peer"].startswith("127.0.0.1:"), event
    with TlsClient(relay, pki.context(), implicit=True) as client:
        client.message(CONTENT)
    equal([line for line in relay.lines if "event=child_exited" in line and "failed" in line], [], "lost workers")


def test_slow_handshakes(t):
    """They hit their deadline, and do not keep others out."""
    pki = Pki(t)
    relay = start(t, pki, mode="implicit", more="command_timeout = 2s\nmin_spare = 1\nmax_spare = 2\n").ready()
    slow = [Client(relay, helo=None) for _ in range(6)]
    began = time.monotonic()
    for client in slow[3:]:
        client.send(b"\x16\x03\x01\x02\x00\x01")
    with TlsClient(relay, pki.context(), implicit=True) as client:
        client.message(CONTENT)
    while time.monotonic() - began < 1.5:  # an octet now and then is no progress
        slow[5].send(b"\x00")
        time.sleep(0.2)
    failed(relay, "took too long", 6)
    assert time.monotonic() - began < 8 * harness.SLOW, "the deadline is late"
    for client in slow:
        client.close()


def interactive(t, relay, *options):
    """openssl s_client, which takes single letters as orders."""
    return t.start([need_program("openssl"), "s_client", "-connect", f"127.0.0.1:{relay.port}", "-starttls", "smtp",
                    *options], stdin=subprocess.PIPE)


def test_busy_without_content(t):
    """Handshake messages in a session, again and again: they never come by a command, so the deadline ends it."""
    pki = Pki(t)
    relay = start(t, pki, more="command_timeout = 2s\n")
    openssl = interactive(t, relay, "-tls1_3")
    relay.wait_for("tls")
    began = time.monotonic()
    try:
        while openssl.popen.poll() is None and time.monotonic() - began < 20 * harness.SLOW:
            openssl.popen.stdin.write(b"K\n")  # a KeyUpdate, which s_client has an answer to
            openssl.popen.stdin.flush()
            time.sleep(0.05)
    except BrokenPipeError:
        pass
    relay.wait_for("session", end=re.compile("timeout|lost"))
    assert time.monotonic() - began < 10 * harness.SLOW, "kept by nothing"


def test_renegotiation(t):
    pki = Pki(t)
    relay = start(t, pki)
    openssl = interactive(t, relay, "-tls1_2")
    relay.wait_for("tls")
    openssl.popen.stdin.write(b"R\n")
    openssl.popen.stdin.flush()
    openssl.wait()
    for words in ("RENEGOTIATING", "no renegotiation"):
        assert any(words in line for line in openssl.lines), openssl.lines
    openssl.popen.stdin.close()
    relay.wait_for("session", end="lost")
    with TlsClient(relay, pki.context()) as client:
        client.message(CONTENT)


def test_abrupt_ends(t):
    """A message that is cut off, with close_notify or without, is none."""
    pki, upstream = Pki(t), Upstream(t)
    relay = start(t, pki, upstream=upstream)
    begin = "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n"

    def cut(how):
        client = TlsClient(relay, pki.context())
        client.send(begin)
        for code in (250, 250, 354):
            client.expect(code)
        client.send(b"Subject: cut off\r\n\r\nhalf")
        how(client)
        client.close()

    def reset(client):
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def close_notify(client):
        client.socket.settimeout(harness.DEADLINE)
        try:
            client.socket.unwrap()
        except OSError:
            pass  # it closes without a word of its own about what is left

    for how in (reset, lambda client: client.socket.shutdown(socket.SHUT_WR), close_notify):
        cut(how)
    relay.wait_for("session", count=3, end="lost")
    # and one who is gone in the handshake
    with TlsClient(relay) as client:
        client.cmd("STARTTLS", 220)
        client.send(b"\x16\x03\x01\x02\x00\x01")
        reset(client)
    failed(relay, "hung up|broke")
    with TlsClient(relay, pki.context()) as client:
        client.message(CONTENT)
    upstream.wait_messages(1)
    equal(len(upstream.messages), 1, "messages")


def test_half_close(t):
    """A client that has said all, close_notify included, still gets its answers."""
    pki, upstream = Pki(t), Upstream(t)
    relay = start(t, pki, upstream=upstream)
    text, _status = openssl_client(t, relay.port, data="EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n"
                                   "Subject: x\r\n\r\nbody\r\n.\r\nQUIT\r\n")
    assert "221 2.0.0" in text, text
    upstream.wait_messages(1)


def test_large_message(t):
    pki, upstream = Pki(t), Upstream(t)
    relay = start(t, pki, upstream=upstream)
    content = b"Subject: large\r\n\r\n" + b"".join(b"%070d\r\n" % i for i in range(150000))
    with TlsClient(relay, pki.context()) as client:
        began = time.monotonic()
        client.message(content)
        t.comment(f"{len(content) >> 20} MiB in {time.monotonic() - began:.2f} s")
    equal(without_received(upstream.wait_messages(1)[0].content), content, "content")


def test_no_stalls(t):
    """Nothing waits for a delayed acknowledgement (40 ms): a hundred commands are quick.
    The middle one of them counts: a crowded machine holds up some."""
    pki = Pki(t)
    relay = start(t, pki)
    took = []
    with TlsClient(relay, pki.context()) as client:
        for _ in range(100):
            began = time.monotonic()
            client.cmd("NOOP", 250)
            took.append(time.monotonic() - began)
    took.sort()
    t.comment(f"100 commands in {sum(took):.3f} s, half of them in less than {took[50] * 1000:.1f} ms")
    assert took[50] < 0.03 * harness.SLOW, took


def test_worker_killed_in_handshake(t):
    pki = Pki(t)
    relay = start(t, pki, mode="implicit")
    client = Client(relay, helo=None)
    client.send(b"\x16\x03\x01\x02\x00\x01")
    peer = f"127.0.0.1:{client.socket.getsockname()[1]}"
    worker = wait_until(lambda: [p for p in relay.children("worker") if peer in harness.process_title(p)], "its worker")[0]
    os.kill(worker, signal.SIGKILL)
    relay.wait_for("child_exited", signal="KILL")
    with TlsClient(relay, pki.context(), implicit=True) as other:
        other.message(CONTENT)
    client.close()


def test_stop(t):
    """A stop reaches clients in TLS, in a handshake too."""
    pki = Pki(t)
    relay = start(t, pki, mode="starttls")
    with TlsClient(relay, pki.context()) as client, TlsClient(relay) as stuck:
        stuck.cmd("STARTTLS", 220)
        stuck.send(b"\x16\x03")
        began = time.monotonic()
        relay.signal(signal.SIGTERM)
        client.expect(421)
        equal(client.socket.recv(1), b"", "close_notify")
        failed(relay, "the service is stopping")
    relay.stop()
    assert time.monotonic() - began < 5 * harness.SLOW


# ---- memory -------------------------------------------------------------------------------------

def pss_kb(pid):
    """What of it is its own, as far as it is shared by its share."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            return sum(int(line.split()[1]) for line in f if line.startswith("Pss_Anon:"))
    except PermissionError:  # not dumpable, so it is only for root to look
        raise harness.Skip("the memory of another process cannot be read here")


def test_memory_of_a_session(t):
    if harness.sanitized():
        raise harness.Skip("a sanitizer's memory is its own")
    pki = Pki(t)
    relay = start(t, pki, more="min_spare = 8\nmax_spare = 8\n").ready()
    wait_until(lambda: len(relay.children("worker")) >= 8, "workers")
    idle = sorted(pss_kb(p) for p in relay.children("worker"))
    clients = [TlsClient(relay, pki.context()) for _ in range(6)]
    busy = sorted(pss_kb(p) for p in relay.children("worker") if "127.0.0.1" in harness.process_title(p))
    t.comment(f"anonymous memory (PSS) of a worker: idle {idle[len(idle) // 2]} kB, "
              f"in a TLS session {busy[len(busy) // 2]} kB")
    equal(len(busy), 6, "busy workers")
    assert busy[len(busy) // 2] < 1000, busy
    for client in clients:
        client.close()


if __name__ == "__main__":
    harness.main(__name__)
