# SPDX-License-Identifier: ISC
"""Who may relay, walked as a table: who it is, by which listener it comes, what is configured besides.

`may` says of each pair of who and listener whether it may; nothing that is configured besides, and no way to write
a recipient, changes that."""

import base64
import os
import pwd
import shutil
import struct

import certificates
import harness
from harness import AUTH_USER, equal, need_program
from smtp_peers import Client, Upstream

FRIEND, STRANGER, BALANCER, MAIL_PROXY = "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"

# Each is somebody else's domain in the end, and each of these has opened a relay somewhere.
FOREIGN = ["b@example.net", "@relay.test:b@example.net", "@relay.test,@a.test:b@example.net", "b%example.net@relay.test",
           "b%example.net@[127.0.0.1]", "b@example.net@relay.test", '"b@example.net"', '"b@example.net"@relay.test',
           '"b%example.net"',
           "example.net!b", "example.net!b@relay.test", "b@relay.test", "root@relay.test", "root@localhost", "root", "postmaster",
           "Postmaster", "b", "b@[127.0.0.1]", "b@[IPv6:::1]", "friend@relay.test", '"root"@relay.test', "b@local.test"]


def v1(source, family="TCP4", target="127.0.0.1"):
    return f"PROXY {family} {source} {target} 4711 25\r\n".encode()


def v2(command, family, addresses):
    return SIGNATURE + bytes([command, family]) + struct.pack(">H", len(addresses)) + addresses


def plain(password):
    return "AUTH PLAIN " + base64.b64encode(b"\0alice\0" + password.encode()).decode()


# (name, source, octets in front of all, commands behind EHLO)
WHO = [
    ("stranger", STRANGER, b"", []),
    ("friend", FRIEND, b"", []),
    ("stranger who says PROXY", STRANGER, v1(FRIEND), []),
    ("stranger who says XCLIENT", STRANGER, b"", [f"XCLIENT ADDR={FRIEND} LOGIN=alice"]),
    ("stranger who calls himself friend", STRANGER, b"", [f"EHLO [{FRIEND}]", "HELO localhost", "EHLO unix"]),
    ("user", STRANGER, b"", [plain("secret")]),
    ("user who greets again", STRANGER, b"", [plain("secret"), "EHLO again", "RSET"]),
    ("user, then XCLIENT", STRANGER, b"", [plain("secret"), "XCLIENT ADDR=192.0.2.1"]),
    ("wrong password", STRANGER, b"", [plain("guess")]),
    ("cancelled", STRANGER, b"", ["AUTH PLAIN", "*"]),
    ("half a login", STRANGER, b"", ["AUTH LOGIN", base64.b64encode(b"alice").decode(), "*"]),
    ("balancer", BALANCER, v1(BALANCER), []),
    ("behind the balancer: friend", BALANCER, v1(FRIEND), []),
    ("behind the balancer: friend, mapped", BALANCER, v1("::ffff:" + FRIEND, "TCP6", "::1"), []),
    ("behind the balancer: stranger", BALANCER, v1(STRANGER), []),
    ("behind the balancer: stranger, mapped", BALANCER, v1("::ffff:" + STRANGER, "TCP6", "::1"), []),
    ("behind the balancer: IPv6", BALANCER, v1("2001:db8::2", "TCP6", "::1"), []),
    ("behind the balancer: unknown", BALANCER, b"PROXY UNKNOWN\r\n", []),
    ("behind the balancer: unknown, with a name", BALANCER, b"PROXY UNKNOWN " + FRIEND.encode() + b" 127.0.0.1 1 2\r\n", []),
    ("behind the balancer: local", BALANCER, v2(0x20, 0x11, bytes([127, 0, 0, 2] * 2) + b"\0\1\0\2"), []),
    ("behind the balancer: unspecified", BALANCER, v2(0x21, 0x00, bytes([127, 0, 0, 2] * 2) + b"\0\1\0\2"), []),
    ("behind the balancer: a unix socket", BALANCER, v2(0x21, 0x31, b"unix".ljust(216, b"\0")), []),
    ("behind the balancer: says XCLIENT", BALANCER, v1(STRANGER), [f"XCLIENT ADDR={FRIEND} LOGIN=alice"]),
    ("behind the balancer: as the mail proxy", BALANCER, v1(MAIL_PROXY), []),
    ("mail proxy", MAIL_PROXY, b"", []),
    ("mail proxy for friend", MAIL_PROXY, b"", [f"XCLIENT ADDR={FRIEND}"]),
    ("mail proxy for stranger", MAIL_PROXY, b"", [f"XCLIENT ADDR={STRANGER}"]),
    ("mail proxy for friend, mapped", MAIL_PROXY, b"", [f"XCLIENT ADDR=IPV6:::ffff:{FRIEND}"]),
    ("mail proxy for unknown", MAIL_PROXY, b"", ["XCLIENT ADDR=[UNAVAILABLE]"]),
    ("mail proxy for nobody it names", MAIL_PROXY, b"", ["XCLIENT NAME=friend.test"]),
    ("mail proxy for a unix socket", MAIL_PROXY, b"", ["XCLIENT ADDR=unix"]),
    ("mail proxy for a user", MAIL_PROXY, b"", [f"XCLIENT ADDR={STRANGER} LOGIN=alice"]),
    ("mail proxy for no user", MAIL_PROXY, b"", [f"XCLIENT ADDR={STRANGER} LOGIN=[UNAVAILABLE]"]),
    ("mail proxy for a user, then for a stranger", MAIL_PROXY, b"",
     [f"XCLIENT ADDR={STRANGER} LOGIN=alice", f"XCLIENT ADDR={STRANGER}"]),
    ("client of the mail proxy who says XCLIENT", MAIL_PROXY, b"",
     [f"XCLIENT ADDR={STRANGER}", "EHLO client", f"XCLIENT ADDR={FRIEND} LOGIN=alice"]),
]

LISTENERS = {
    "plain": "",
    "login": "auth = offered\nauth_without_tls = yes\n",
    "login only": "auth = required\nauth_without_tls = yes\n",
    "balanced": f'proxy_protocol = "{BALANCER}"\n',
    "proxied": f'xclient_from = "{MAIL_PROXY}"\nauth = offered\nauth_without_tls = yes\n',
    "both": f'proxy_protocol = "{BALANCER}"\nxclient_from = {{ "{MAIL_PROXY}", "{BALANCER}" }}\n',
}


def may(who, listener, friends):
    """Whether it may relay; friends: FRIEND is in relay_from."""
    balanced, proxied = listener in ("balanced", "both"), listener in ("proxied", "both")
    login = listener in ("login", "login only", "proxied")
    if who in ("user", "user who greets again", "user, then XCLIENT"):
        return login
    if who == "mail proxy for a user":
        return proxied
    known = friends and (who == "friend"
                         or balanced and who in ("behind the balancer: friend", "behind the balancer: friend, mapped")
                         or proxied and who in ("mail proxy for friend", "mail proxy for friend, mapped"))
    return known and listener != "login only"


def users(t):
    path = t.tmp / "users"
    done = t.run([need_program("openssl"), "passwd", "-5", "-salt", "abcdefgh", "secret"], check=0)
    path.write_text(f"alice:{done.stdout.decode().strip()}\n")
    if os.geteuid() == 0:
        shutil.chown(path, AUTH_USER, pwd.getpwnam(AUTH_USER).pw_gid)
    path.chmod(0o600)
    return path


def besides(t):
    """What else is configured, by name."""
    (t.tmp / "client_access").write_text("* allow\n127.0.0.0/8 allow\nunix allow\n")
    for name in ("sender_access", "recipient_access"):
        (t.tmp / name).write_text("* allow\nrelay.test allow\n")
    (t.tmp / "auth_senders").write_text("* *\n")
    (t.tmp / "aliases").write_text("root: chief@example.net\npostmaster: root\nb: c@example.net\nfriend: root, b\n")
    tables = "".join(f'{name} = "{t.tmp / name}"\n' for name in ("client_access", "sender_access", "recipient_access"))
    return {
        "nothing": "",
        "tables": tables + 'limits_exempt = { "0.0.0.0/0", "::/0" }\nclient_connections = 0\n',
        "rewriting": f'aliases = "{t.tmp / "aliases"}"\nalias_domains = {{ "relay.test", "local.test" }}\n'
                     'default_domain = "relay.test"\n'
                     'masquerade = "test"\nalways_bcc = "archive@example.net"\nrewrite_headers = yes\n'
                     'rewrite {\n match = "*@relay.test"\n to = "*@example.net"\n apply = { "recipient", "sender" }\n}\n',
        "redirection": 'redirect_all = "me@example.net"\n',
    }


def enter(relay, port, source, front, commands):
    """The client behind its commands; None: it got no session."""
    client = Client(port, helo=None, source=source)
    try:
        client.send(front)
        client.expect(220)
        # where no header is expected, it is commands and parts of one: whatever they are answered with
        reply = client.cmd("\r\nmarker")
        while "MARKER" not in reply.text:
            reply = client.reply()
        for command in ["EHLO client.test", *commands]:
            client.cmd(command)
    except (EOFError, ConnectionError, AssertionError):
        client.close()
        return None
    return client


def verdicts(client):
    """The code of each recipient."""
    codes = []
    for command in ("EHLO client.test", "RSET", "MAIL FROM:<friend@relay.test>"):
        if client.cmd(command).code != 250:
            return {530}
    for to in FOREIGN:
        codes.append(client.cmd(f"RCPT TO:<{to}>").code)
    return set(codes)


def walk(t, name, config, friends):
    upstream = Upstream(t)
    listeners = "".join(f'listener "{key.replace(" ", "_")}" {{\n localaddr = "127.0.0.1:0"\n{text}}}\n'
                        for key, text in LISTENERS.items())
    relay = t.daemon(upstream, config=f"max_errors = 1000\nmax_transactions = 0\nauth_failure_delay = 0\nauth_ban_after = 0\n"
                     f'auth_users_file = "{users(t)}"\nrelay_from = {{ {friends} }}\n' + config + listeners,
                     name="friends" if friends else "nobody").ready()
    for listener, port in zip(LISTENERS, relay.ports(len(LISTENERS))):
        for who, source, front, commands in WHO:
            client = enter(relay, port, source, front, commands)
            seen = verdicts(client) if client else {None}
            if client:
                client.close()
            what = f"{who}, by listener {listener}, {name}, relay_from {friends or 'empty'}: {seen}"
            if may(who, listener, bool(friends)):
                assert 250 in seen and not seen & {554, 530}, what
            else:
                assert 250 not in seen, what
    equal([relay.queue(), upstream.received], [[], []], "nothing was sent")


def test_by_whom_and_where(t):
    for friends in ("", f'"{FRIEND}"'):
        walk(t, "nothing", "", friends)


def test_tables_allow_nobody_to_relay(t):
    walk(t, "tables", besides(t)["tables"], "")


def test_rewriting_allows_nobody_to_relay(t):
    walk(t, "rewriting", besides(t)["rewriting"], f'"{FRIEND}"')


def test_redirection_allows_nobody_to_relay(t):
    walk(t, "redirection", besides(t)["redirection"], "")


def test_certificates(t):
    """A friend's certificate, on the listener that asks for one; on others it is not even seen."""
    pki, other = certificates.Pki(t), certificates.Pki(t, "other")
    server, host = pki.pair("DNS:mail.test"), pki.pair("DNS:host.example.org")
    expired = pki.pair("DNS:host.example.org", ends=-1, begins=-3)
    pairs = {"none": None, "right": host, "expired": expired, "another name": pki.pair("DNS:other.example.org"),
             "of nobody we know": other.pair("DNS:host.example.org", name="liar"),
             "name in a comment": pki.pair("DNS:host.example.org.evil.test"),
             "the server's own": server, "wildcard": pki.pair("DNS:*.example.org"),
             "mail address": pki.pair("email:host@example.org"),
             "only as common name, beside others": pki.pair("DNS:x.test", name="host.example.org")}
    asks = f'tls_client_cert = "ask"\ntls_client_ca = "{pki.file}"\n'
    relay = t.daemon(Upstream(t), config=server.config() + 'tls = starttls\nrelay_from = {}\nrelay_from_cert = "name:host.example.org"\n'
                     f'listener "asks" {{\n localaddr = "127.0.0.1:0"\n{asks}}}\n'
                     f'listener "asks_not" {{\n localaddr = "127.0.0.1:0"\n}}\n').ready()
    asking, other_port = relay.ports(2)
    for what, pair in pairs.items():
        for port in (asking, other_port):
            with certificates.TlsClient(port, pki.context(client=pair)) as client:
                client.cmd("MAIL FROM:<a@example.org>", 250)
                wanted = 250 if what == "right" and port == asking else 554
                equal(client.cmd("RCPT TO:<b@example.net>").code, wanted, f"{what}, {'asked' if port == asking else 'not asked'}")
    # in the clear, on the same listener, it is nobody
    with Client(asking) as client:
        client.cmd("MAIL FROM:<a@example.org>", 250)
        equal(client.cmd("RCPT TO:<b@example.net>").code, 554, "in the clear")


if __name__ == "__main__":
    harness.main(__name__)
