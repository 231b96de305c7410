# SPDX-License-Identifier: ISC
"""AUTH with real clients (smtplib, swaks, gsasl) and with those that mean no good; the auth process and its end."""

import base64
import concurrent.futures
import os
import pwd
import re
import shutil
import signal
import smtplib
import time

import harness
from certificates import Pki, TlsClient
from harness import AUTH_USER, Skip, equal, need_program, need_root, wait_until
from smtp_peers import Client, Upstream

PASSWORD = "correct horse"


def b64(text):
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def plain(user, password, authzid=""):
    return b64(f"{authzid}\0{user}\0{password}")


def users_file(t, *users, options=("--cram-md5",)):
    """Users with PASSWORD, readable by the auth process alone."""
    path = t.tmp / "users"
    for user in users:
        t.posthouse("user", "--file", path, "--stdin", *options, "add", user, data=PASSWORD.encode() + b"\n")
    if os.geteuid() == 0:
        shutil.chown(path, AUTH_USER, pwd.getpwnam(AUTH_USER).pw_gid)
    path.chmod(0o600)
    return path


def cheap_users(t, count):
    """A file of users u0, u1 ... whose hash costs next to nothing."""
    done = t.run([need_program("openssl"), "passwd", "-5", "-salt", "abcdefgh", PASSWORD], check=0)
    path = t.tmp / "users"
    path.write_text("".join(f"u{i}:{done.stdout.decode().strip()}\n" for i in range(count)))
    if os.geteuid() == 0:
        shutil.chown(path, AUTH_USER, pwd.getpwnam(AUTH_USER).pw_gid)
    path.chmod(0o600)
    return path


def config(users, more="", tls=None):
    """In the clear, unless there is a Pair of certificate and key."""
    every = "" if re.search("^auth_mechanisms", more, re.M) else (
        'auth_mechanisms = { "PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "OAUTHBEARER", "XOAUTH2" }\n')
    return (f'auth = offered\nauth_users_file = "{users}"\nauth_failure_delay = 0\n{every}'
            + ("tls = starttls\n" + tls.config() if tls else "auth_without_tls = yes\n") + more)


def start(t, more="", tls=None, upstream=None, users=None, **options):
    users = users or users_file(t, "alice")
    return t.daemon(upstream or Upstream(t), config=config(users, more, tls), **options).ready()


def mechanisms(client):
    return next((set(line.split()[1:]) for line in client.ehlo.lines if line.startswith("AUTH ")), None)


def again(client):
    client.ehlo = client.cmd("EHLO client.test", 250)
    return client


# ---- what is offered, and who gets in ------------------------------------------------------


def test_offered_under_tls_only(t):
    pki = Pki(t)
    relay = start(t, tls=pki.pair())
    with TlsClient(relay) as client:
        equal(mechanisms(client), None, "AUTH in the clear")
        equal(client.cmd(f"AUTH PLAIN {plain('alice', PASSWORD)}").code, 538, "AUTH in the clear")
        client.start_tls(pki.context())
        again(client)
        equal(mechanisms(client), {"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"}, "under TLS")
        client.cmd(f"AUTH PLAIN {plain('alice', PASSWORD)}", 235)
    relay.wait_for("authenticated", user="alice", mechanism="PLAIN", peer="127.0.0.1")


def test_cram_md5_must_be_named(t):
    """Clients take it first, and fail for all whose password is not kept: nobody gets it without asking."""
    users = users_file(t, "alice")
    relay = t.daemon(Upstream(t), config=f'auth = offered\nauth_without_tls = yes\nauth_users_file = "{users}"\n').ready()
    with Client(relay) as client:
        equal(mechanisms(client), {"PLAIN", "LOGIN", "SCRAM-SHA-256"}, "what is offered")
        equal(client.cmd("AUTH CRAM-MD5").code, 504, "CRAM-MD5")


def test_listeners_differ(t):
    """auth of the top level is every listener's; unix sockets have none, whatever is said."""
    users = users_file(t, "alice")
    path = t.tmp / "submit"
    relay = t.daemon(Upstream(t), config=config(users, f"""
listener "a" {{
	localaddr = {{ "127.0.0.1:0", "unix:{path}" }}
	auth_mechanisms = {{ "login", "SCRAM-SHA-256-PLUS" }}
}}
listener "b" {{
	localaddr = "127.0.0.1:0"
	auth = none
}}
listener "c" {{
	localaddr = "127.0.0.1:0"
	auth = required
}}
""")).ready()
    ports = {e["listener"]: int(e["localaddr"].rpartition(":")[2]) for e in relay.events("listening")
             if not e["localaddr"].startswith("unix:")}
    with Client(ports["a"]) as client:
        equal(mechanisms(client), {"LOGIN"}, "mechanisms")
        equal(client.cmd(f"AUTH PLAIN {plain('alice', PASSWORD)}").code, 504, "PLAIN where it is not allowed")
    with Client(ports["b"]) as client:
        equal(mechanisms(client), None, "mechanisms")
        equal(client.cmd(f"AUTH PLAIN {plain('alice', PASSWORD)}").code, 502, "AUTH where there is none")
    with Client(ports["c"]) as client:
        equal(client.cmd("MAIL FROM:<a@example.net>").code, 530, "MAIL without AUTH")
        client.cmd(f"AUTH PLAIN {plain('alice', PASSWORD)}", 235)
        client.message()
    with Client(str(path)) as client:
        equal(mechanisms(client), None, "mechanisms on a unix socket")
        client.message()


def test_who_logged_in_may_relay_and_takes_a_route(t):
    """A message of user billing leaves by its own upstream; who has not logged in does not relay at all."""
    ordinary, billing = Upstream(t), Upstream(t)
    users = users_file(t, "alice", "billing")
    relay = t.daemon(config=config(users, f"""
relay_from = "192.0.2.0/24"
received_auth_user = yes
upstream "main" {{
	remoteaddr = "127.0.0.1:{ordinary.port}"
}}
upstream "billing" {{
	remoteaddr = "127.0.0.1:{billing.port}"
}}
route {{
	auth_user = "billing"
	upstream = "billing"
}}
""")).ready()
    with Client(relay) as client:
        client.cmd("MAIL FROM:<a@example.net>", 250)
        equal(client.cmd("RCPT TO:<b@example.org>").code, 554, "RCPT of nobody")
    for user, upstream in (("billing", billing), ("Alice", ordinary)):
        with Client(relay) as client:
            client.cmd(f"AUTH PLAIN {plain(user, PASSWORD)}", 235)
            client.message(content=f"Subject: of {user}\r\n\r\nHello\r\n".encode())
        upstream.wait_messages(1)
        content = upstream.messages[0].content.decode()
        assert f"Subject: of {user}" in content, content
        assert f"(authenticated as {user.lower()})" in content and "with ESMTPA id" in content, content
        relay.wait_for("accepted", user=user.lower())
    equal((len(billing.messages), len(ordinary.messages)), (1, 1), "messages")


def test_who_must_log_in_has_no_etrn_before(t):
    """auth = required: the network alone is no permission, for what is not MAIL either; a unix socket is one."""
    table = t.tmp / "vrfy"
    table.write_text("bob@example.org allow Bob\n")
    table.chmod(0o644)
    listener = 'listener "a" {\n localaddr = { "127.0.0.1:0", "unix:%s" }\n auth = required\n}\n' % (t.tmp / "s")
    relay = start(t, f'vrfy_table = "{table}"\n{listener}')
    with Client(relay) as client:
        client.cmd("MAIL FROM:<a@example.net>", 530)
        assert "may not relay" in client.cmd("ETRN example.org", 459).text
        client.cmd("VRFY bob@example.org", 252)
        client.cmd(f"AUTH PLAIN {plain('alice', PASSWORD)}", 235)
        client.cmd("ETRN example.org", (250, 251))
        equal(client.cmd("VRFY bob@example.org", 250).text, "2.1.5 Bob", "VRFY")
    with Client(str(t.tmp / "s")) as client:
        client.cmd("ETRN example.org", (250, 251))


def test_received_is_silent_by_default(t):
    upstream = Upstream(t)
    relay = start(t, upstream=upstream)
    with Client(relay) as client:
        client.cmd(f"AUTH PLAIN {plain('alice', PASSWORD)}", 235)
        client.message()
    upstream.wait_messages(1)
    assert b"alice" not in upstream.messages[0].content


# ---- real clients ---------------------------------------------------------------------------


def test_smtplib(t):
    relay = start(t)
    for name, function in (("PLAIN", "auth_plain"), ("LOGIN", "auth_login"), ("CRAM-MD5", "auth_cram_md5")):
        for initial in (True, False):
            for password in (PASSWORD, "wrong"):
                with smtplib.SMTP("127.0.0.1", relay.port, timeout=harness.DEADLINE) as client:
                    client.ehlo()
                    client.user, client.password = "alice", password
                    try:
                        code = client.auth(name, getattr(client, function), initial_response_ok=initial)[0]
                    except smtplib.SMTPAuthenticationError as e:
                        code = e.smtp_code
                    equal(code, 235 if password == PASSWORD else 535, f"{name}, {password}")
    with smtplib.SMTP("127.0.0.1", relay.port, timeout=harness.DEADLINE) as client:
        client.login("alice", PASSWORD)
        client.sendmail("a@example.net", ["b@example.org"], "Subject: x\r\n\r\nHello\r\n")
    relay.wait_for("accepted", user="alice")


def test_swaks(t):
    swaks = need_program("swaks")
    pki = Pki(t)
    relay = start(t, tls=pki.pair("IP:127.0.0.1"))
    for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5"):
        for password, status in ((PASSWORD, 0), ("wrong", 28)):
            done = t.run([swaks, "--server", f"127.0.0.1:{relay.port}", "--tls", "--auth", mechanism, "--auth-user", "alice",
                          "--auth-password", password, "--quit-after", "AUTH"])
            text = (done.stdout + done.stderr).decode("latin-1")
            if "requires" in text and "perl" in text.lower():
                raise Skip(f"swaks lacks a module: {text.strip().splitlines()[-1]}")
            equal(done.returncode, status, f"swaks --auth {mechanism}: {text}")


def gsasl(t, relay, pki, mechanism, password, *options):
    done = t.run([need_program("gsasl"), "--smtp", "--mechanism", mechanism, "-a", "alice", "-p", password, "-z", "",
                  "--no-client-first" if mechanism == "CRAM-MD5" else "--verbose", "--x509-ca-file", pki.file,
                  "--starttls", *options, "--connect", f"127.0.0.1:{relay.port}"], data=b"")
    return (done.stdout + done.stderr).decode("latin-1")


def test_gsasl(t):
    """GNU SASL's own client: SCRAM, in both its forms, with the channel binding of its TLS library."""
    need_program("gsasl")
    pki = Pki(t)
    relay = start(t, tls=pki.pair("IP:127.0.0.1"))
    for mechanism in ("PLAIN", "CRAM-MD5", "SCRAM-SHA-256-PLUS"):
        seen = len(relay.events("authenticated"))
        said = gsasl(t, relay, pki, mechanism, PASSWORD)
        assert "235 2.7.0" in said, f"{mechanism}: {said}"
        relay.wait_for("authenticated", mechanism=mechanism)
        equal(len(relay.events("authenticated")), seen + 1, "logins")
        said = gsasl(t, relay, pki, mechanism, "wrong")
        assert "535 5.7.8" in said and not re.search("^235", said, re.M), f"{mechanism}: {said}"
    said = gsasl(t, relay, pki, "SCRAM-SHA-256", PASSWORD, "--no-cb")
    assert "235 2.7.0" in said, said
    # it says that it could bind, and believes that the server cannot: it is being lied to
    said = gsasl(t, relay, pki, "SCRAM-SHA-256", PASSWORD)
    assert "235 2.7.0" not in said, said


def test_curl(t):
    curl = need_program("curl")
    relay = start(t)
    for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"):
        for password, good in ((PASSWORD, True), ("wrong", False)):
            done = t.run([curl, "-sv", f"smtp://127.0.0.1:{relay.port}", "--mail-from", "a@example.net", "--mail-rcpt",
                          "b@example.org", "--user", f"alice:{password}", "--login-options", f"AUTH={mechanism}", "-T", "-"],
                         data=b"Subject: x\r\n\r\nHello\r\n")
            said = done.stderr.decode("latin-1")
            if "No known authentication mechanisms supported" in said:
                t.comment(f"this curl does not know {mechanism}")
                continue
            equal(done.returncode == 0, good, f"{mechanism}: {said}")


def test_channel_binding_by_hand(t):
    """tls-unique of TLS 1.2, as Python knows it: the right one gets in, that of another connection does not."""
    import hashlib
    import hmac
    import ssl

    def scram(client, binding):
        nonce = "abcdefgh"
        header = b"p=tls-unique,,"
        first = f"n=alice,r={nonce}"
        server = base64.b64decode(client.cmd("AUTH SCRAM-SHA-256-PLUS " + b64(header + first.encode()), 334).text).decode()
        values = dict(part.split("=", 1) for part in server.split(","))
        salted = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), base64.b64decode(values["s"]), int(values["i"]))
        last = f"c={b64(header + binding)},r={values['r']}"
        message = ",".join([first, server, last]).encode()
        key = hmac.digest(salted, b"Client Key", "sha256")
        signature = hmac.digest(hashlib.sha256(key).digest(), message, "sha256")
        proof = bytes(a ^ b for a, b in zip(key, signature))
        reply = client.cmd(b64(f"{last},p={b64(proof)}"))
        return client.cmd("") if reply.code == 334 else reply

    pki = Pki(t)
    relay = start(t, tls=pki.pair())
    context = pki.context(most=ssl.TLSVersion.TLSv1_2)
    with TlsClient(relay, context) as client, TlsClient(relay, context) as other:
        mine, others = (c.socket.get_channel_binding("tls-unique") for c in (client, other))
        equal(scram(client, others).code, 535, "the binding of another connection")
        equal(scram(client, mine).code, 235, "its own binding")


# ---- the SMTP side ---------------------------------------------------------------------------


def test_login_prompts(t):
    relay = start(t)
    with Client(relay) as client:
        equal(client.cmd("AUTH LOGIN", 334).lines, ["VXNlcm5hbWU6"], "the first prompt")
        equal(client.cmd(b64("alice"), 334).lines, ["UGFzc3dvcmQ6"], "the second prompt")
        client.cmd(b64(PASSWORD), 235)
    with Client(relay) as client:
        equal(client.cmd(f"auth login {b64('alice')}", 334).lines, ["UGFzc3dvcmQ6"], "the prompt behind an initial response")
        client.cmd("*", 501)
        client.cmd("AUTH PLAIN =", 501)
        client.cmd("AUTH PLAIN", 334)
        client.cmd(plain("alice", PASSWORD), 235)


def test_wrong_order(t):
    relay = start(t)
    with Client(relay) as client:
        client.cmd("MAIL FROM:<a@example.net>", 250)
        equal(client.cmd(f"AUTH PLAIN {plain('alice', PASSWORD)}").code, 503, "AUTH in a transaction")
        client.cmd("RSET", 250)
        client.cmd(f"AUTH PLAIN {plain('alice', PASSWORD)}", 235)
        equal(client.cmd(f"AUTH PLAIN {plain('alice', PASSWORD)}").code, 503, "AUTH twice")
        # RFC 4954 5 and 4: a new EHLO does not log out
        again(client)
        client.message()
    equal(relay.wait_for("accepted")["user"], "alice", "user behind a second EHLO")


def test_pipelined_injection(t):
    """What stands behind AUTH in one packet is the response and then commands: none is heard with more rights than it has."""
    relay = start(t, 'relay_from = "192.0.2.0/24"\n')
    with Client(relay) as client:
        client.send("AUTH LOGIN\r\n" + b64("alice") + "\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\n")
        equal([client.reply().code for _ in range(4)], [334, 334, 501, 503], "replies")
        client.cmd("RSET", 250)
        client.send(f"AUTH PLAIN {plain('alice', 'wrong')}\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\n")
        equal([client.reply().code for _ in range(3)], [535, 250, 554], "replies")
    assert not relay.events("accepted")


def test_starttls_forgets(t):
    """AUTH in the clear, then STARTTLS: the user is gone, and what was sent behind STARTTLS is thrown away."""
    pki = Pki(t)
    relay = start(t, 'auth_without_tls = yes\nrelay_from = "192.0.2.0/24"\n', tls=pki.pair())
    with TlsClient(relay) as client:
        client.cmd(f"AUTH PLAIN {plain('alice', PASSWORD)}", 235)
        client.send(f"STARTTLS\r\nAUTH PLAIN {plain('alice', PASSWORD)}\r\n")
        client.expect(220)
        client.wrap(pki.context(), "mail.test")
        again(client)
        client.cmd("MAIL FROM:<a@example.net>", 250)
        equal(client.cmd("RCPT TO:<b@example.org>").code, 554, "RCPT of nobody")
        client.cmd("RSET", 250)
        client.cmd(f"AUTH PLAIN {plain('alice', PASSWORD)}", 235)
        client.message()


def test_secrets_stay_out_of_the_log(t):
    relay = start(t, "log_level = debug\n")
    with Client(relay) as client:
        client.cmd(f"AUTH PLAIN {plain('alice', 'hunter2')}", 535)
        client.cmd(f"AUTH LOGIN {b64('alice')}", 334)
        client.cmd(b64("hunter2"), 535)
        client.cmd(f"AUTH PLAIN{plain('alice', 'hunter2')}")
        client.cmd("AUTH PLAIN \x01hunter2")
        client.cmd("AUTH LOGIN", 334)
        client.cmd(b64("mallory\nevent=accepted"), 334)
        client.cmd(b64("hunter2"), 535)
    relay.wait_for("auth_failed", user=re.compile("mallory"))
    for line in relay.lines:
        for secret in ("hunter2", b64("hunter2"), plain("alice", "hunter2")):
            assert secret not in line, line
        assert not re.search(r"(^| )event=accepted", line), line


def test_lines_at_their_limit(t):
    """RFC 4954 4: 12288 octets of base64, and not more."""
    relay = start(t)
    with Client(relay) as client:
        for length, code in ((12284, 535), (12292, 500)):
            client.cmd("AUTH PLAIN", 334)
            equal(client.cmd(b64("\0alice\0" + "a" * (length * 3 // 4 - 7))).code, code, f"a response of {length} octets")


# ---- the auth process --------------------------------------------------------------------------


def test_killed_auth_process(t):
    relay = start(t)
    first = relay.child("auth")
    with Client(relay) as stalled, Client(relay) as client:
        stalled.cmd("AUTH LOGIN", 334)
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: not harness.process_alive(first), "the end of auth")
        # the exchange that was under way cannot be told: 454, never 535
        equal(stalled.cmd(b64("alice")).code, 454, "the answer in the middle")
        # and the next waits for the new process
        equal(client.cmd(f"AUTH PLAIN {plain('alice', PASSWORD)}").code, 235, "the next attempt")
        equal(stalled.cmd(f"AUTH PLAIN {plain('alice', PASSWORD)}").code, 235, "the same session's next attempt")
    relay.wait_for("child_exited", role="auth")
    assert relay.child("auth") != first


def test_stalled_exchanges_block_nobody(t):
    relay = start(t, "max_workers = 30\nmin_spare = 2\nmax_spare = 20\nclient_connections = 100\n")
    stalled = []
    for _ in range(20):
        client = Client(relay)
        t.later(client.close)
        client.cmd("AUTH LOGIN", 334)
        stalled.append(client)
    auth = relay.child("auth")
    children = [p for p in relay.children("auth") if p != auth]
    assert len(children) >= 20
    if os.geteuid() == 0:  # no child has the socket of another one
        for pid in children:
            sockets = [fd for fd in os.listdir(f"/proc/{pid}/fd") if os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:")]
            assert len(sockets) <= 2, f"{pid}: {sockets}"  # its own, and that of the log's events
    with Client(relay) as client:
        client.cmd(f"AUTH PLAIN {plain('alice', PASSWORD)}", 235)
    # who goes leaves no process behind
    for client in stalled:
        client.close()
    wait_until(lambda: relay.children("auth") == [auth], "the children of auth to be gone")


def test_who_cancels_is_no_error_of_ours(t):
    """Nothing that a stranger can do at will is in the log as an error."""
    relay = start(t, "max_errors = 1000\n", users=cheap_users(t, 1))
    with Client(relay) as client:
        for _ in range(10):
            client.cmd("AUTH PLAIN", 334)
            client.cmd("*", 501)
            client.cmd("AUTH LOGIN", 334)
            client.cmd(b64("u0"), 334)
            client.cmd("*", 501)
    with Client(relay) as client:
        client.cmd("AUTH LOGIN", 334)
    with Client(relay) as client:
        client.cmd(f"AUTH PLAIN {plain('u0', PASSWORD)}", 235)
    relay.wait_for("authenticated", user="u0")
    equal(relay.events("auth_error"), [], "errors")


def test_many_at_once(t):
    relay = start(t, "max_workers = 220\nmax_spare = 100\nclient_connections = 1000\nlimits_exempt = \"127.0.0.0/8\"\n",
                  users=cheap_users(t, 200))

    def log_in(i):
        with Client(relay) as client:
            return client.cmd(f"AUTH PLAIN {plain(f'u{i}', PASSWORD if i % 10 else 'wrong')}").code

    with concurrent.futures.ThreadPoolExecutor(200) as pool:
        codes = list(pool.map(log_in, range(200)))
    equal(codes, [235 if i % 10 else 535 for i in range(200)], "replies")
    users = sorted(e["user"] for e in relay.wait_for("authenticated", count=180))
    equal(users, sorted(f"u{i}" for i in range(200) if i % 10), "users")


def test_ban_and_its_end(t):
    users = users_file(t, "alice")
    relay = t.daemon(Upstream(t), config=config(users, 'auth_ban_after = 3\nauth_ban_time = 4s\n'
                                                       'proxy_protocol = "127.0.0.1"\n')).ready()

    def client_from(address):
        client = Client(relay, helo=None)
        client.send(f"PROXY TCP4 {address} 127.0.0.1 4711 25\r\n")
        client.expect(220)
        client.cmd("EHLO client.test", 250)
        return client

    with client_from("198.51.100.7") as client:
        for i in range(3):
            client.cmd(f"AUTH PLAIN {plain('alice', f'guess{i}')}", 535)
        relay.wait_for("auth_banned", peer="198.51.100.7", failures=3)
        equal(client.cmd(f"AUTH PLAIN {plain('alice', PASSWORD)}").code, 421, "the answer to who is banned")
        equal(client.at_eof(), b"", "what follows 421")
    with client_from("198.51.100.7") as client:
        equal(client.cmd(f"AUTH PLAIN {plain('alice', PASSWORD)}").code, 421, "a new connection")
    with client_from("198.51.100.8") as client:
        client.cmd(f"AUTH PLAIN {plain('alice', PASSWORD)}", 235)

    def admitted():
        with client_from("198.51.100.7") as client:
            return client.cmd(f"AUTH PLAIN {plain('alice', PASSWORD)}").code == 235

    wait_until(admitted, "the end of the ban")
    # fail2ban's view of it
    line = next(line for line in relay.lines if "event=auth_failed" in line)
    equal(re.search(r"event=auth_failed peer=(\S+) ", line)[1], "198.51.100.7", "what fail2ban sees")


def test_failures_are_held_back(t):
    text = config(users_file(t, "alice")).replace("auth_failure_delay = 0", "auth_failure_delay = 1s")
    relay = t.daemon(Upstream(t), config=text).ready()
    with Client(relay) as client:
        began = time.monotonic()
        client.cmd(f"AUTH PLAIN {plain('alice', 'wrong')}", 535)
        assert time.monotonic() - began >= 1
        began = time.monotonic()
        client.cmd(f"AUTH PLAIN {plain('alice', PASSWORD)}", 235)
        assert time.monotonic() - began < 1


def test_unknown_users_take_as_long(t):
    relay = start(t, "max_errors = 10000\n")
    times = {"alice": [], "nobody": []}
    with Client(relay) as client:
        for i in range(15):
            for user, seen in times.items():
                began = time.monotonic()
                equal(client.cmd(f"AUTH PLAIN {plain(user, f'guess{i}')}").text, "5.7.8 Error: authentication credentials invalid",
                      "the answer")
                seen.append(time.monotonic() - began)
    known, unknown = (min(times[u]) for u in ("alice", "nobody"))  # whatever else the machine does
    t.comment(f"known {known * 1000:.1f} ms, unknown {unknown * 1000:.1f} ms")
    assert 0.6 < unknown / known < 1.7, times


def test_changes_of_the_users_count_at_once(t):
    users = users_file(t, "alice")
    relay = start(t, users=users)
    with Client(relay) as client:
        client.cmd(f"AUTH PLAIN {plain('bob', PASSWORD)}", 535)
        users_file(t, "bob")
        client.cmd(f"AUTH PLAIN {plain('bob', PASSWORD)}", 235)


# ---- start, rights, rules ------------------------------------------------------------------------


def test_rights(t):
    """As root: users of its own for each process; the worker cannot read the users, auth has no socket to listen on."""
    need_root()
    relay = start(t)
    auth, worker = relay.child("auth"), relay.child("worker")
    status = {pid: re.search(r"^Uid:\s+(\d+)", open(f"/proc/{pid}/status").read(), re.M)[1] for pid in (auth, worker)}
    equal(int(status[auth]), pwd.getpwnam(AUTH_USER).pw_uid, "the user of auth")
    assert status[auth] != status[worker]
    inodes = {os.readlink(f"/proc/{auth}/fd/{fd}") for fd in os.listdir(f"/proc/{auth}/fd")}
    listening = set()
    for table in ("tcp", "tcp6"):
        for line in open(f"/proc/{auth}/net/{table}").readlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                listening.add(f"socket:[{fields[9]}]")
    equal(inodes & listening, set(), "listening sockets in auth")
    assert not [i for i in inodes if str(t.tmp / "spool") in i], inodes
    equal(os.stat(f"/proc/{auth}/maps").st_uid, 0, "owner of the memory of a process that leaves no core")


def start_fails(t, text, *wanted):
    relay = t.daemon(Upstream(t), config=text)
    relay.stopped = True
    assert relay.wait() != 0
    said = "\n".join(relay.lines)
    for word in wanted:
        assert word in said, f"{word!r} is not in:\n{said}"


def test_users_that_cannot_be_read(t):
    need_root()
    users = users_file(t, "alice")
    shutil.chown(users, "root", "root")
    start_fails(t, config(users), str(users), "Permission denied", f'as user "{AUTH_USER}"')
    check = t.run([harness.BUILDDIR / "posthoused", "-t", "-f", t.tmp / "posthoused.conf"])
    assert check.returncode != 0 and b"Permission denied" in check.stderr, check.stderr


def test_an_account_that_is_missing(t):
    need_root()
    users = users_file(t, "alice")
    start_fails(t, config(users, 'auth_user = "no-such-user-here"\n'), "useradd", "no-such-user-here")


def test_rules(t):
    def errors(text):
        path = t.config(text, 2525, spool=t.tmp / "spool")
        done = t.run([harness.BUILDDIR / "posthoused", "-t", "-f", path])
        return done.returncode, done.stderr.decode()

    users = users_file(t, "alice")
    for text, word in (
            ("auth = offered\nauth_without_tls = yes\n", "auth_users_file"),
            (f'auth = offered\nauth_users_file = "{users}"\n', "auth without tls"),
            (f'auth = required\nauth_users_file = "{users}"\n', "auth_without_tls = yes"),
            (config(users, 'auth_mechanisms = "XOAUTH2"\n'), "auth_oauth_introspection_url"),
            (config(users, 'auth_mechanisms = "DIGEST-MD5"\n'), "DIGEST-MD5"),
            (config(users, 'auth_user = "root"\nuser = "bin"\nsmtp_user = "daemon"\n'), "auth_pam_service"),
            (config(users, 'auth_user = "daemon"\nuser = "bin"\nsmtp_user = "daemon"\n'), "smtp_user"),
            (config(users, "auth_failure_delay = 1h\n"), "auth_failure_delay")):
        if "auth_user" in text and os.geteuid() != 0:
            continue
        status, said = errors(text)
        assert status != 0 and word in said, f"{text}: {status} {said}"
    equal(errors(config(users)), (0, ""), "a good one")
    # what nobody can use is no need: only a unix socket
    status, said = errors(f'auth = offered\nauth_users_file = "{users}"\nlocaladdr = "unix:{t.tmp}/s"\n')
    equal((status, said), (0, ""), "a unix socket alone")


def test_a_stop_with_exchanges_under_way(t):
    """A stop does not wait for who stalls; its client hears 421."""
    relay = start(t, "stop_timeout = 30s\n")
    with Client(relay) as client:
        client.cmd("AUTH LOGIN", 334)
        began = time.monotonic()
        relay.signal(signal.SIGTERM)
        equal(client.reply().code, 421, "the answer at a stop")
    relay.stop()
    assert time.monotonic() - began < 10


if __name__ == "__main__":
    harness.main(__name__)
