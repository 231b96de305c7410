# SPDX-License-Identifier: ISC
"""The instruments of `make bench` are instruments only if they count and
delay what they say: the client, the upstream, the long way, the report."""

import os
import pathlib
import socket
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "system")]

import harness
from certificates import Pki
from harness import BUILDDIR, SLOW, equal, wait_until
from procs import Child, ClosedPort, Talker, members
import report

TOOLS = BUILDDIR / "tests" / "bench"


def tool(t, name, *words, pass_fds=()):
    talker = Talker([str(TOOLS / name), *map(str, words)], pass_fds=pass_fds)
    t.later(talker.stop)
    return talker


def sink(t, *words):
    talker = tool(t, "smtpsink", *words)
    return talker, talker.answer(10)["port"]


def dial(t, port):
    s = socket.create_connection(("127.0.0.1", port), timeout=harness.DEADLINE)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    t.later(s.close)
    return s


def read_until(s, end):
    got = b""
    while not got.endswith(end):
        part = s.recv(65536)
        assert part, f"cut off after {got!r}"
        got += part
    return got


class Server:
    """An SMTP server of one connection after the other that does what a script of replies says
    and keeps what it was sent: one entry a command, the content as one entry."""

    def __init__(self, t, replies):
        self.seen = []
        self.replies = list(replies)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        thread = threading.Thread(target=self.serve, daemon=True)
        thread.start()
        t.later(thread.join, 5)
        t.later(self.socket.close)

    def serve(self):
        while self.replies:
            peer, _ = self.socket.accept()
            with peer, peer.makefile("rb") as lines:
                while self.replies:
                    reply = self.replies.pop(0)
                    peer.sendall(reply + b"\r\n")
                    if reply.startswith((b"421", b"221")):
                        break
                    entry = lines.readline()
                    while entry and reply.startswith(b"354") and not entry.endswith(b"\r\n.\r\n"):
                        entry += lines.readline()
                    if not entry:
                        break
                    self.seen.append(entry)


HELLO = [b"220 hi", b"250 fine"]
MESSAGE = [b"250 sender", b"250 recipient", b"354 go on", b"250 taken"]


def check_content(content, size):
    equal(len(content) - 3, size, "length of the content")
    assert content.endswith(b"\r\n.\r\n"), content[-20:]
    lines = content[:-3].split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line for line in lines), "a bare CR or LF"
    assert not any(line.startswith(b".") for line in lines), "a dot to stuff"
    assert max(map(len, lines)) <= 78


def test_client_sends_messages_of_the_wanted_size(t):
    sizes = range(4090, 4090 + 81)
    for size in sizes:
        server = Server(t, HELLO + MESSAGE + [b"221 bye"])
        load = tool(t, "smtpload", "-n", 1, "-s", size, server.port)
        equal(load.answer(10)["messages"], 1, "messages accepted")
        load.finish()
        equal([line[:4] for line in server.seen[:4]], [b"EHLO", b"MAIL", b"RCPT", b"DATA"], "commands")
        # a tail that would begin with a bare LF is made one byte shorter
        check_content(server.seen[4], size - (len(server.seen[4]) - 3 == size - 1))
        equal(server.seen[5], b"QUIT\r\n", "last command")


def test_client_connects_again_after_421_and_counts_no_refusal_as_success(t):
    server = Server(t, HELLO + MESSAGE + [b"421 enough"] + HELLO + MESSAGE[:3] + [b"452 full"]
                    + HELLO + MESSAGE + [b"221 bye"])
    load = tool(t, "smtpload", "-n", 2, server.port)
    got = load.answer(10)
    equal((got["messages"], got["reconnects"]), (2, 2), "messages, reconnects")


def test_client_and_upstream_count_the_same(t):
    log = t.tmp / "came"
    upstream, port = sink(t, "-l", log)
    upstream.tell(54)
    equal(upstream.answer(10), {"expected": 54}, "answer")
    load = tool(t, "smtpload", "-c", 4, "-n", 50, "-w", 1, "-s", 100000, "-l", t.tmp / "sent", port)
    sent, came = load.answer(30), upstream.answer(30)
    equal((sent["messages"], came["messages"], came["open_max"]), (50, 54, 4), "accepted, arrived, open")
    arrived = dict(map(int, line.split()) for line in log.read_text().splitlines())
    accepted = dict(map(int, line.split()) for line in (t.tmp / "sent").read_text().splitlines())
    equal((len(arrived), len(accepted)), (54, 50), "lines of the logs")
    assert all(arrived[seq] <= ns for seq, ns in accepted.items()), "a 250 before the final dot was seen"


def test_upstream_finds_the_final_dot_however_it_is_cut(t):
    upstream, port = sink(t)
    upstream.tell(3)
    upstream.answer(10)
    s = dial(t, port)
    group = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n"
    # an empty message; dots and CRs that are no end; one that ends in a stuffed dot
    for body in (b"", b"\r\r\n..\r\n.x\r\n\r\n.\ry\r\n", b"text\r\n..\r\n"):
        for byte in group:
            s.sendall(bytes([byte]))
        assert b"354" in read_until(s, b"<CR><LF>.<CR><LF>\r\n")
        for byte in body + b".\r\n":
            s.sendall(bytes([byte]))
        read_until(s, b"taken\r\n")
    equal(upstream.answer(10)["messages"], 3, "messages")


def test_upstream_answers_a_pipelined_stream(t):
    upstream, port = sink(t)
    upstream.tell(20)
    upstream.answer(10)
    s = dial(t, port)
    one = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nx\r\n.\r\n"
    s.sendall(b"EHLO me\r\n" + 20 * one + b"QUIT\r\n")
    got = read_until(s, b"Bye\r\n")
    equal((got.count(b"354 "), got.count(b"taken")), (20, 20), "replies")
    equal(s.recv(1), b"", "after QUIT")


class Echo:
    """A far end that sends back what it gets."""

    def __init__(self, t):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()
        t.later(self.socket.close)

    def serve(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.echo, args=(peer,), daemon=True).start()

    @staticmethod
    def echo(peer):
        with peer:
            while part := peer.recv(1 << 16):
                peer.sendall(part)


def far_away(t, milliseconds):
    """A socket to an Echo behind the proxy."""
    port = ClosedPort()
    t.later(port.close)
    try:
        dial(t, port.port)
        raise AssertionError("the port of the proxy answers before the proxy is there")
    except ConnectionRefusedError:
        pass
    proxy = tool(t, "delayproxy", "-d", milliseconds, "-f", port.fileno(), Echo(t).port,
                 pass_fds=(port.fileno(),))
    equal(proxy.answer(10)["port"], port.port, "port")
    return dial(t, port.port)


def test_proxy_delays_both_ways(t):
    s = far_away(t, 50)
    s.sendall(b"first")  # waits for the far connection
    read_until(s, b"first")
    for _ in range(3):
        began = time.monotonic()
        s.sendall(b"ping")
        read_until(s, b"ping")
        took = time.monotonic() - began
        assert 0.1 <= took < 0.1 + 1 * SLOW, took


def test_proxy_streams(t):
    """Many small pieces, and a large one, take one delay together and not one each."""
    s = far_away(t, 50)
    for number in range(200):
        s.sendall(b"%03d\n" % number)
        time.sleep(0.001)  # pieces of their own, also on the way
    began = time.monotonic()  # the loop takes what the machine lets it
    got = read_until(s, b"199\n")
    took = time.monotonic() - began
    equal(got, b"".join(b"%03d\n" % number for number in range(200)), "bytes")
    assert took < 200 * 0.1 / 4, f"200 pieces took {took} s"
    block = os.urandom(1 << 20) * 8
    writer = threading.Thread(target=s.sendall, args=(block,))
    began = time.monotonic()
    writer.start()
    back = b""
    while len(back) < len(block):
        back += s.recv(1 << 20)
    writer.join()
    took = time.monotonic() - began
    assert back == block, "8 MB came back changed"
    # stop-and-wait with pieces of 64 kB would need 128 delays
    assert took < 128 * 0.1 / 2, f"8 MB took {took} s"


def test_proxy_passes_the_end_on(t):
    s = far_away(t, 10)
    s.sendall(b"last words")
    s.shutdown(socket.SHUT_WR)
    equal(read_until(s, b"words"), b"last words", "bytes")
    equal(s.recv(1), b"", "end of file")


def test_raw_limit_counts_files_and_leaves_none(t):
    for words in ([], ["-r"]):
        folder = t.tmp / f"disk{len(words)}"
        folder.mkdir()
        raw = tool(t, "rawfsync", "-p", 3, "-s", 100, "-t", 0.2, *words, folder)
        got = raw.answer(20)
        raw.finish()
        assert got["files"] > 0 and got["rate"] > 0, got
        equal([p for p in folder.rglob("*") if p.is_file()], [], "files left behind")


def test_a_stopped_child_takes_its_group_along(t):
    child = Child(["/bin/sh", "-c", "sleep 300 & sleep 300 & wait"])
    t.later(child.stop)
    wait_until(lambda: len(members(child.pid)) == 3, "three processes")
    equal(child.family(), members(child.pid), "family")
    child.stop()
    equal(members(child.pid), set(), "processes of the group")


def results(ours, stock=(100.0, 200.0), tuned=(150.0, 250.0), raw=(1000.0, 1000.0)):
    columns = {"posthouse": list(ours)}
    if stock:
        columns.update({"postfix": list(stock), "postfix-tuned": list(tuned)})
    return {"accept": {"4k@50 stopped": columns}, "raw": {"4k@50": {"fsync": list(raw)}}}


def verdicts(samples):
    return {row["against"]: row["met"] for row in report.targets(samples) if "50 sessions" in row["text"]}


def test_report_judges_by_the_rounds_own_ratios(t):
    equal(verdicts(results([600, 1200])), {"postfix": True, "postfix-tuned": True, "raw": True}, "met")
    # a round that was slow for both counts as the others
    equal(verdicts(results([300, 1200], stock=(50.0, 200.0)))["postfix"], True, "stock")
    equal(verdicts(results([599, 1199])), {"postfix": False, "postfix-tuned": True, "raw": True}, "missed 6x")
    equal(verdicts(results([140, 240], raw=(300.0, 500.0))),
          {"postfix": False, "postfix-tuned": False, "raw": False}, "all missed")
    equal(verdicts(results([600, 1200], stock=None)), {"postfix": None, "postfix-tuned": None, "raw": True},
          "without Postfix")
    equal(report.percentile(range(1, 201), 95), 190, "95th percentile of 200")


def test_report_has_a_figure_for_every_target(t):
    named = {figure[:2] for figure in report.FIGURES}
    for target in report.TARGETS:
        assert target[:2] in named, target
        assert target[3] in report.HOLDS, target



def test_tls_clients_count_handshakes(t):
    """Full ones and resumed ones are those that the server logs; a server that refuses is no success."""
    relay = t.daemon(ClosedPort().port, config="tls = starttls\nlog_level = debug\n" + Pki(t).pair().config())
    port = relay.port
    for how, kind in (((), "full"), (("-r",), "resumed")):
        load = tool(t, "tlsload", "-c", 2, "-t", 0.3, *how, port)
        got = load.answer(30)
        load.finish()
        assert got[kind] > 2 and got["trouble"] == 0, got
        seen = wait_until(lambda g=got: relay.events("tls") if len(relay.events("tls")) >= g["full"] + g["resumed"] else None,
                          "the server's own count")
        for name, flag in (("full", "0"), ("resumed", "1")):
            equal(len([e for e in seen if e["resumed"] == flag]), got[name], f"{name} handshakes")
        with relay.changed:
            relay.events_seen.clear()
    equal(got["full"], 2, "full handshakes of two clients that resume")
    bare = t.daemon(ClosedPort().port, name="bare")
    load = tool(t, "tlsload", "-t", 0.3, bare.port)
    assert load.answer(30)["full"] == 0


if __name__ == "__main__":
    harness.main(__name__)
