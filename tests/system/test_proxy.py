# SPDX-License-Identifier: ISC
"""Proxies in front: the PROXY protocol by hand and by a real HAProxy, XCLIENT by hand and by swaks."""

import re
import socket
import struct

import harness
from harness import equal, need_program
from smtp_peers import Client, Upstream

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v2(source, port, command=0x21):
    packed = socket.inet_aton(source) + socket.inet_aton("127.0.0.1") + struct.pack(">HH", port, 25)
    return SIGNATURE + bytes([command, 0x11]) + struct.pack(">H", len(packed)) + packed


def daemon(t, config, upstream=None):
    upstream = upstream or Upstream(t)
    return t.daemon(upstream, config=config).ready(), upstream


def through(relay, header):
    """A client whose connection begins with this header."""
    client = Client(relay, helo=None)
    client.send(header)
    client.expect(220)
    client.cmd("EHLO client.test", 250)
    return client


def refused(relay, data):
    client = Client(relay, helo=None)
    client.send(data)
    return client.at_eof()


def received(upstream, count=1):
    upstream.wait_messages(count)
    return upstream.messages[count - 1].content.decode("latin-1").split("\r\nSubject:")[0]


def test_proxy_header_says_who_it_is(t):
    """The client of the header is the client: for relay_from, for the log, in Received."""
    relay, upstream = daemon(t, 'proxy_protocol = "127.0.0.1"\nrelay_from = { "192.0.2.0/24" }\n')
    with through(relay, b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 25\r\n") as client:
        client.message()
    assert "([192.0.2.7])" in received(upstream)
    relay.wait_for("accepted", peer="192.0.2.7:4711")
    with through(relay, v2("192.0.2.8", 4712)) as client:
        client.message()
    relay.wait_for("accepted", peer="192.0.2.8:4712")
    # what the proxy itself may do is not what its clients may do, and the other way round
    with through(relay, v2("198.51.100.1", 4713)) as client:
        client.cmd("MAIL FROM:<a@example.net>", 250)
        equal(client.cmd("RCPT TO:<b@example.org>").code, 554, "the reply to RCPT")
    for header in (v2("192.0.2.8", 4712, command=0x20), b"PROXY UNKNOWN\r\n"):
        with through(relay, header) as client:
            client.cmd("MAIL FROM:<a@example.net>", 250)
            equal(client.cmd("RCPT TO:<b@example.org>").code, 554, "the reply to RCPT")


def test_unknown_client_is_not_the_proxy(t):
    """Proxies on this machine, which may relay: who they cannot name may not, and may not say who it is."""
    relay, _ = daemon(t, 'proxy_protocol = "127.0.0.1"\nxclient_from = { "127.0.0.1", "127.0.0.2" }\n')
    for header in (v2("192.0.2.8", 4712, command=0x20), b"PROXY UNKNOWN\r\n"):
        with through(relay, header) as client:
            equal(client.cmd("XCLIENT ADDR=127.0.0.1").code, 550, "the reply to XCLIENT")
            client.cmd("MAIL FROM:<a@example.net>", 250)
            equal(client.cmd("RCPT TO:<b@example.org>").code, 554, "the reply to RCPT")
    with Client(relay, source="127.0.0.2") as client:
        client.cmd("XCLIENT ADDR=[UNAVAILABLE] NAME=[UNAVAILABLE]", 220)
        client.cmd("EHLO client.test", 250)
        client.cmd("MAIL FROM:<a@example.net>", 250)
        equal(client.cmd("RCPT TO:<b@example.org>").code, 554, "the reply to RCPT")


def test_proxy_header_and_commands_in_one_segment(t):
    relay, upstream = daemon(t, 'proxy_protocol = "127.0.0.1"\n')
    client = Client(relay, helo=None)
    client.send(b"PROXY TCP4 127.0.0.9 127.0.0.1 4711 25\r\nEHLO x\r\nMAIL FROM:<a@example.net>\r\n"
                b"RCPT TO:<b@example.org>\r\nDATA\r\n")
    equal([client.reply().code for _ in range(5)], [220, 250, 250, 250, 354], "replies")
    client.send(b"Subject: x\r\n\r\n.\r\nQUIT\r\n")
    equal([client.reply().code for _ in range(2)], [250, 221], "replies")
    assert "([127.0.0.9])" in received(upstream)


def test_no_proxy_header(t):
    """A named proxy that sends none is not served, at once where that can be told; nobody else is asked for one."""
    relay, _ = daemon(t, 'proxy_protocol = "127.0.0.1"\n')
    for data in (b"EHLO client.example.org\r\n", b"PROXY TCP4 nonsense\r\n", SIGNATURE + b"\x99\x11\0\0",
                 SIGNATURE + b"\x21\x11\xff\xff", b"PROXY " + b"x" * 200):
        equal(refused(relay, data), b"", f"the answer to {data!r}")
    relay.wait_for("proxy_failed", count=5)
    other = socket.create_connection(("127.0.0.1", relay.port), timeout=harness.DEADLINE,
                                     source_address=("127.0.0.2", 0))
    assert other.recv(100).startswith(b"220 ")
    # a header from who is no proxy is not obeyed
    other.sendall(b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 25\r\n")
    assert other.recv(200).startswith(b"421 ")
    other.close()


def test_silent_proxy_blocks_nobody(t):
    relay, upstream = daemon(t, 'proxy_protocol = "127.0.0.1"\nmin_spare = 1\nmax_spare = 1\n')
    silent = [Client(relay, helo=None) for _ in range(5)]
    for client in silent:
        client.send(b"PROXY TCP4 192")
    with through(relay, b"PROXY TCP4 127.0.0.9 127.0.0.1 4711 25\r\n") as client:
        client.message()
    for client in silent:
        client.close()
    relay.wait_for("proxy_failed", count=5)


def haproxy(t, relay, option):
    """HAProxy on a socket of ours, so that no other program has its port; a client from 127.0.0.3 comes through it."""
    listener = socket.create_server(("127.0.0.1", 0))
    t.later(listener.close)
    config = t.tmp / f"haproxy-{option}.cfg"
    config.write_text(f"defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n"
                      f"listen smtp\n bind fd@{listener.fileno()}\n"
                      f" server posthouse 127.0.0.1:{relay.port} {option} check inter 100 check-send-proxy\n")
    t.start(["haproxy", "-db", "-f", config], name="haproxy", pass_fds=[listener.fileno()])
    return socket.create_connection(listener.getsockname(), timeout=harness.DEADLINE, source_address=("127.0.0.3", 0))


def test_real_haproxy(t):
    need_program("haproxy")
    relay, upstream = daemon(t, 'proxy_protocol = "127.0.0.1"\nrelay_from = "127.0.0.3"\n')
    for count, option in enumerate(("send-proxy", "send-proxy-v2"), 1):
        client = Client.__new__(Client)
        client.socket = haproxy(t, relay, option)
        client.buffer = b""
        client.expect(220)
        client.cmd("EHLO client.test", 250)
        client.message()
        client.quit()
        assert "([127.0.0.3])" in received(upstream, count)
        relay.wait_for("accepted", count=count, peer=re.compile(r"^127\.0\.0\.3:\d+$"))


def test_xclient(t):
    relay, upstream = daemon(t, 'xclient_from = "127.0.0.1"\nrelay_from = { "192.0.2.0/24" }\n')
    with Client(relay) as client:
        assert "XCLIENT ADDR PORT LOGIN NAME HELO PROTO REVERSE_NAME DESTADDR DESTPORT" in client.ehlo.lines
        client.cmd("MAIL FROM:<a@example.net>", 250)
        equal(client.cmd("RCPT TO:<b@example.org>").code, 554, "the proxy itself may not relay")
        equal(client.cmd("XCLIENT ADDR=192.0.2.7").code, 503, "inside a transaction")
        client.cmd("RSET", 250)
        for bad in ("ADDR=nonsense", "ADDR=IPV6:192.0.2.7", "PORT=70000", "COLOUR=red", "ADDR", "LOGIN=a+0Ab", "LOGIN=",
                    "ADDR=1+ZZ"):
            equal(client.cmd(f"XCLIENT {bad}").code, 501, bad)
        client.cmd("XCLIENT NAME=[UNAVAILABLE] ADDR=192.0.2.7 PORT=4711 HELO=x PROTO=ESMTP", 220)
        equal(client.cmd("MAIL FROM:<a@example.net>").code, 503, "the session begins anew")
        client.cmd("EHLO client.test", 250)
        client.message()
        assert "([192.0.2.7])" in received(upstream)
        relay.wait_for("accepted", peer="192.0.2.7:4711")
        # the client of a proxy that passes on what it says does not choose who it is
        client.cmd("XCLIENT ADDR=127.0.0.1 LOGIN=root", 550)
        ehlo = client.cmd("EHLO client.test", 250)
        assert not any(line.startswith("XCLIENT") for line in ehlo.lines), ehlo
    with Client(relay) as client:
        client.cmd("XCLIENT NAME=[UNAVAILABLE]", 220)
        client.cmd("XCLIENT ADDR=IPV6:2001:db8::1 PORT=4712", 220)
        client.cmd("EHLO client.test", 250)
        client.cmd("MAIL FROM:<a@example.net>", 250)
        equal(client.cmd("RCPT TO:<b@example.org>").code, 554, "the reply to RCPT")
    relay.wait_for("rejected", peer="[2001:db8::1]:4712")


def test_xclient_login(t):
    relay, upstream = daemon(t, 'xclient_from = "127.0.0.1"\nrelay_from = { "192.0.2.0/24" }\n')
    with Client(relay) as client:
        client.cmd("XCLIENT ADDR=192.0.2.7 LOGIN=carol+40example.org", 220)
        client.cmd("EHLO client.test", 250)
        client.message()
        relay.wait_for("accepted", user="carol@example.org")
    with Client(relay) as client:
        client.cmd("XCLIENT ADDR=192.0.2.7 LOGIN=carol", 220)
        client.cmd("XCLIENT ADDR=192.0.2.7", 220)
        client.cmd("EHLO client.test", 250)
        client.message()
        first, second = relay.wait_for("accepted", count=2)
    equal((first.get("user"), second.get("user")), ("carol@example.org", None), "users")
    received(upstream, 2)


def test_xclient_is_for_named_proxies(t):
    relay, _ = daemon(t, 'xclient_from = "192.0.2.1"\n')
    with Client(relay) as client:
        assert not any(line.startswith("XCLIENT") for line in client.ehlo.lines)
        equal(client.cmd("XCLIENT ADDR=192.0.2.7").code, 550, "the reply to XCLIENT")


def test_xclient_behind_a_balancer_is_not_for_its_clients(t):
    """The balancer's address is in both lists: its clients are still nobody who may say XCLIENT."""
    relay, _ = daemon(t, 'xclient_from = "127.0.0.1"\nproxy_protocol = "127.0.0.1"\n')
    with through(relay, b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 25\r\n") as client:
        equal(client.cmd("XCLIENT ADDR=127.0.0.1").code, 550, "the reply to XCLIENT")


def test_swaks_says_xclient(t):
    need_program("swaks")
    relay, upstream = daemon(t, 'xclient_from = "127.0.0.1"\nrelay_from = { "192.0.2.0/24" }\n')
    t.run(["swaks", "--server", "127.0.0.1", "--port", relay.port, "--xclient-addr", "192.0.2.9", "--xclient-name",
           "client.example.net", "--from", "a@example.net", "--to", "b@example.org", "--helo", "client.test"], check=0)
    assert "([192.0.2.9])" in received(upstream)


def test_header_where_none_is_expected(t):
    """A balancer on this machine, or on the unix socket, that is in no proxy_protocol: its clients are not this machine.

    Whoever forgot the key would have an open relay; so nothing is served."""
    socket_path = t.tmp / "socket"
    relay, _ = daemon(t, 'proxy_protocol = "127.0.0.9"\nlistener "l" {\n localaddr = { "127.0.0.1:0", "unix:%s" }\n}\n' % socket_path)
    for header in (b"PROXY TCP4 198.51.100.1 127.0.0.1 4711 25\r\n", b"PROXY UNKNOWN\r\n", v2("198.51.100.1", 4711),
                   v2("198.51.100.1", 4711, command=0x20)):
        for remote in (relay, str(socket_path)):
            client = Client(remote, helo=None)
            client.expect(220)
            client.send(header + b"\r\nEHLO x\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\n")
            said = client.at_eof()
            assert b"421 4.7.0 " in said and b"\r\n250" not in said, (header, said)
    relay.wait_for("rejected", reply=re.compile("421 .*proxy_protocol"), count=8)


def test_everyone_is_no_proxy(t):
    for key in ("proxy_protocol", "xclient_from"):
        for networks in ('"0.0.0.0/0"', '{ "0.0.0.0/1", "128.0.0.0/1" }', '"::/0"'):
            path = t.config(f"{key} = {networks}\n", 25, spool=t.tmp / "spool")
            run = t.run([harness.BUILDDIR / "posthoused", "-t", "-n", "-f", path], check=1)
            assert f"{key} lets everyone say who they are".encode() in run.stderr, run.stderr


if __name__ == "__main__":
    harness.main(__name__)
