# SPDX-License-Identifier: ISC
"""The two ends that a relay talks to, made for tests: a client that sends
exactly the bytes it is told, and an upstream that does what its rules say and
records transactions byte for byte."""

import base64
import os
import re
import select
import socket
import ssl
import threading
import time

from harness import DEADLINE, need_program

# ---- the client ----------------------------------------------------------


class Reply:
    """A reply of a server: code, and the lines' text without the code."""

    def __init__(self, code, lines):
        self.code, self.lines = code, lines

    @property
    def text(self):
        return "\n".join(self.lines)

    def __repr__(self):
        return f"<{self.code} {' / '.join(self.lines)}>"


class Client:
    """A raw SMTP client, from the address `source` if one is given. Each call has a deadline; a server that closes gives EOFError."""

    def __init__(self, remote, helo="client.test", family=None, source=None):
        if isinstance(remote, (str, bytes)):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(DEADLINE)
            self.socket.connect(remote)
        else:
            port = remote if isinstance(remote, int) else remote.port
            host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
            self.socket = socket.create_connection((host, port), timeout=DEADLINE,
                                                   source_address=(source, 0) if source else None)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.greeting = None
        self.ehlo = None
        if helo is not None:
            self.greeting = self.expect(220)
            self.ehlo = self.cmd(f"EHLO {helo}", 250)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.socket.sendall(data.encode() if isinstance(data, str) else data)

    def send_bytewise(self, data):
        """One segment a byte."""
        for i in range(len(data)):
            self.socket.sendall(data[i:i + 1])

    def read_line(self):
        while b"\n" not in self.buffer:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError(f"the server closed the connection (unfinished line {self.buffer!r})")
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        assert line.endswith(b"\r"), f"a reply line ends with a bare LF: {line!r}"
        return line[:-1].decode("latin-1")

    def reply(self):
        lines, code = [], None
        while True:
            line = self.read_line()
            assert re.match(r"^[2-5][0-9][0-9][ -]", line), f"not a reply line: {line!r}"
            assert code in (None, line[:3]), f"the code changes within a reply: {lines} {line!r}"
            code = line[:3]
            lines.append(line[4:])
            if line[3] == " ":
                return Reply(int(code), lines)

    def expect(self, code):
        reply = self.reply()
        wanted = code if isinstance(code, (tuple, list, set)) else (code,)
        assert reply.code in wanted, f"expected {code}, got {reply}"
        return reply

    def cmd(self, line, code=None):
        self.send((line.encode() if isinstance(line, str) else line) + b"\r\n")
        return self.reply() if code is None else self.expect(code)

    def mail(self, sender="sender@client.test", rcpts=("rcpt@example.test",), params=""):
        self.cmd(f"MAIL FROM:<{sender}>{params}", 250)
        for rcpt in rcpts:
            self.cmd(f"RCPT TO:<{rcpt}>", 250)

    def data(self, content, code=250):
        self.cmd("DATA", 354)
        self.send(stuff(content) + b".\r\n")
        return self.expect(code)

    def bdat(self, content, size=None, code=250):
        """All of the content with BDAT (RFC 3030) in chunks of that size, pipelined; the reply to the last one."""
        pieces = [content[i:i + size] for i in range(0, len(content), size)] if size else [content]
        self.send(b"".join(b"BDAT %d%s\r\n" % (len(p), b" LAST" if n == len(pieces) else b"") + p
                           for n, p in enumerate(pieces, 1)))
        for _ in pieces[1:]:
            self.expect(250)
        return self.expect(code)

    def message(self, content=b"Subject: test\r\n\r\nHello\r\n", sender="sender@client.test",
                rcpts=("rcpt@example.test",), params="", code=250):
        """A whole transaction; returns the reply to the end of data."""
        self.mail(sender, rcpts, params)
        return self.data(content, code)

    def at_eof(self):
        """Reads until the server closes; returns what it still said."""
        data = self.buffer
        self.buffer = b""
        while True:
            try:
                more = self.socket.recv(65536)
            except ConnectionResetError:
                return data
            if not more:
                return data
            data += more

    def quit(self):
        self.cmd("QUIT", 221)
        assert self.at_eof() == b"", "the server says something after 221"
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Ends the connection with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()


def delivers(relay, upstream, content=b"Subject: delivers\r\n\r\nbody\r\n"):
    """A message goes all the way."""
    before = len(upstream.messages)
    with Client(relay) as client:
        client.message(content)
        client.quit()
    upstream.wait_messages(before + 1)


def stuff(content):
    """RFC 5321 4.5.2; content ends with CRLF or is empty."""
    if content.startswith(b"."):
        content = b"." + content
    return content.replace(b"\r\n.", b"\r\n..")


def unstuff(content):
    if content.startswith(b"."):
        content = content[1:]
    return content.replace(b"\r\n.", b"\r\n")


_RECEIVED = re.compile(rb"\AReceived: [^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*")


def without_received(content):
    """The content as it was before our relay put its one Received: header in front."""
    match = _RECEIVED.match(content)
    assert match, f"no Received: header in front of {content[:200]!r}"
    return content[match.end():]


# ---- the upstream --------------------------------------------------------

DROP = object()  # close the connection without an answer
RESET = object()  # the same with RST
STALL = object()  # no answer; the connection stays open until the client gives up or the test ends


class Rule:
    """What to do in a phase: a reply ("450 4.2.1 busy"), raw bytes, DROP, RESET, STALL, or a function
    (session, line) that returns one of these or None for the ordinary answer."""

    def __init__(self, phase, action, match=None, times=None):
        self.phase, self.action, self.times, self.used = phase, action, times, 0
        self.match = re.compile(match) if match else None


class Received:
    """A message whose final dot arrived."""

    def __init__(self, session, sender, mail_line, rcpts, content):
        self.session, self.sender, self.mail_line, self.rcpts = session, sender, mail_line, rcpts
        self.content = content  # dots unstuffed
        self.reply = None  # None: it got no answer
        self.replies = {}  # LMTP: by recipient
        self.chunks = 0  # BDAT commands; 0: it came with DATA
        self.when = time.monotonic()

    @property
    def accepted(self):
        if self.session.upstream.lmtp:
            return any(reply.startswith("2") for reply in self.replies.values())
        return self.reply is not None and self.reply.startswith("2")

    def __repr__(self):
        return f"<from {self.sender} to {self.rcpts[:3]} {len(self.content)} bytes: {self.reply}>"


class Session:
    """One connection to the upstream, in a thread of its own."""

    def __init__(self, upstream, sock, number):
        self.upstream, self.socket, self.number = upstream, sock, number
        self.buffer = bytearray()
        self.raw = bytearray()  # everything that came, as it came
        self.lines = []  # commands
        self.tls = False
        self.user = None  # authenticated
        self.helo = None
        self.forget()

    def forget(self):
        self.sender, self.mail_line, self.rcpts = None, None, []
        self.chunks, self.chunk_failed = [], False

    def fill(self):
        data = self.socket.recv(262144)
        if not data:
            raise EOFError
        self.buffer += data
        self.raw += data

    def read_line(self):
        while (end := self.buffer.find(b"\n")) < 0:
            self.fill()
        line = bytes(self.buffer[:end + 1])
        del self.buffer[:end + 1]
        if not line.endswith(b"\r\n"):
            self.upstream.violation(f"command line without CRLF: {line!r}")
        return line.rstrip(b"\r\n").decode("utf-8", "surrogateescape")

    def read_content(self):
        start = 0
        while True:
            if self.buffer.startswith(b".\r\n"):
                end, length = 0, 3
                break
            end = self.buffer.find(b"\r\n.\r\n", start)
            if end >= 0:
                end, length = end + 2, 3
                break
            start = max(0, len(self.buffer) - 4)
            self.fill()
        content = bytes(self.buffer[:end])
        del self.buffer[:end + length]
        return unstuff(content)

    def say(self, text):
        self.socket.sendall(text if isinstance(text, bytes) else text.encode() + b"\r\n")

    def act(self, phase, line, ordinary, note=None):
        """Does what the rules want, else the ordinary reply. Returns the reply; note(reply) is called before
        the client can know it."""
        action = self.upstream.decide(self, phase, line)
        if callable(action):
            action = action(self, line)
        if action is None:
            action = ordinary
        if action is DROP:
            self.socket.shutdown(socket.SHUT_RDWR)
            raise EOFError
        if action is RESET:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            raise EOFError
        if action is STALL:
            self.upstream.note_stall(phase)
            self.wait_for_end()
            raise EOFError
        reply = action if isinstance(action, str) else action.decode("latin-1")
        if note:
            note(reply)
        self.say(action)
        return reply

    def wait_for_end(self):
        while not self.upstream.closing.is_set():
            if select.select([self.socket], [], [], 0.1)[0]:
                self.fill()

    def run(self):
        try:
            if self.upstream.implicit_tls:
                self.start_tls()
            if self.act("connect", "", "220 upstream.test ESMTP").startswith("2"):
                while self.command(self.read_line()):
                    pass
        except (EOFError, OSError):
            pass
        finally:
            self.socket.close()
            self.upstream.session_ended(self)

    def start_tls(self):
        self.socket = self.upstream.tls.wrap_socket(self.socket, server_side=True)
        self.tls = True

    def command(self, line):
        self.lines.append(line)
        if not self.upstream.pipelining and self.buffer:
            self.upstream.violation(f"more data behind {line!r}, though PIPELINING is not offered")
        verb = line.split(" ", 1)[0].upper()
        handler = getattr(self, "do_" + verb.lower(), None)
        if handler is None:
            self.act(verb, line, "500 5.5.1 what?")
            return True
        return handler(line) is not False

    def do_lhlo(self, line):
        if not self.upstream.lmtp:
            self.act("LHLO", line, "500 5.5.1 this is SMTP")
            return
        self.say_extensions(line)

    def do_ehlo(self, line):
        if self.upstream.lmtp:  # RFC 2033 4.1: they do not belong here
            self.upstream.violation(f"{line!r} to an LMTP server")
        self.say_extensions(line)

    def say_extensions(self, line):
        self.helo = line[5:]
        words = list(self.upstream.extensions)
        if self.upstream.tls and not self.tls:
            words.append("STARTTLS")
        if self.upstream.tokens and (self.tls or not self.upstream.tls):
            words.append(f"AUTH PLAIN LOGIN {' '.join(self.upstream.tokens)}")
        elif self.upstream.users and (self.tls or not self.upstream.tls):
            words.append("AUTH PLAIN LOGIN")
        lines = ["upstream.test", *words]
        self.act(line[:4].upper(), line, "\r\n".join(f"250{'-' if i + 1 < len(lines) else ' '}{word}"
                                            for i, word in enumerate(lines)))

    def do_helo(self, line):
        self.helo = line[5:]
        self.act("HELO", line, "250 upstream.test")

    def do_starttls(self, line):
        if not self.upstream.tls:
            self.act("STARTTLS", line, "502 5.5.1 no TLS here")
            return
        if self.act("STARTTLS", line, "220 2.0.0 go ahead").startswith("220"):
            self.start_tls()

    def do_auth(self, line):
        words = line.split()
        if words[1].upper() in self.upstream.tokens:
            self.auth_token(line, words)
            return
        if words[1].upper() == "PLAIN":
            if len(words) < 3:
                self.say("334 ")
                words.append(self.read_line())
            _, user, password = base64.b64decode(words[2]).decode().split("\0")
        else:
            if len(words) > 2:
                user = base64.b64decode(words[2]).decode()
            else:
                self.say("334 VXNlcm5hbWU6")
                user = base64.b64decode(self.read_line()).decode()
            self.say("334 UGFzc3dvcmQ6")
            password = base64.b64decode(self.read_line()).decode()
        good = (self.upstream.users or {}).get(user) == password
        if self.act("AUTH", line, "235 2.7.0 welcome" if good else "535 5.7.8 wrong").startswith("2"):
            self.user = user

    def auth_token(self, line, words):
        """OAUTHBEARER (RFC 7628) and XOAUTH2: .tokens[mechanism](token) tells whether it is good."""
        mechanism = words[1].upper()
        if len(words) < 3:
            self.say("334 ")
            words.append(self.read_line())
        message = base64.b64decode(words[2], validate=True).decode()
        match = re.fullmatch(r"n,a=([^,]*),\x01host=[^\x01]*\x01port=\d+\x01auth=Bearer ([^\x01]+)\x01\x01"
                             if mechanism == "OAUTHBEARER" else r"user=([^\x01]+)\x01auth=Bearer ([^\x01]+)\x01\x01", message)
        if not match:
            self.upstream.violation(f"not a message of {mechanism}: {message!r}")
        self.upstream.logins.append((mechanism, match[1], match[2]))
        good = self.upstream.tokens[mechanism](match[2])
        if not good:
            self.say("334 " + base64.b64encode(b'{"status":"400","schemes":"Bearer","scope":"https://mail.test/"}').decode())
            if self.read_line() not in ("", "AQ=="):  # RFC 7628 3.2.3: ^A, and what XOAUTH2 says
                self.upstream.violation("the reason was not acknowledged")
        if self.act("AUTH", line, "235 2.7.0 welcome" if good else "535 5.7.8 bad token").startswith("2"):
            self.user = match[1]

    def do_mail(self, line):
        match = re.match(r"MAIL FROM:<([^>]*)>(.*)$", line, re.I)
        if not match:
            self.upstream.violation(f"cannot parse {line!r}")
        if (self.upstream.users or self.upstream.tokens) and not self.user:
            ordinary = "530 5.7.0 authenticate first"
        else:
            ordinary = "503 5.5.1 nested MAIL" if self.sender is not None else "250 2.1.0 OK"
        if self.act("MAIL", line, ordinary).startswith("2"):
            self.sender, self.mail_line = match[1], line

    def do_rcpt(self, line):
        match = re.match(r"RCPT TO:<([^>]*)>(.*)$", line, re.I)
        if not match:
            self.upstream.violation(f"cannot parse {line!r}")
        ordinary = "503 5.5.1 no MAIL" if self.sender is None else "250 2.1.5 OK"
        if self.act("RCPT", line, ordinary).startswith("2"):
            self.rcpts.append(match[1])

    def do_data(self, line):
        ordinary = "554 5.5.1 no valid recipients" if not self.rcpts else "354 go ahead"
        if not self.act("DATA", line, ordinary).startswith("354"):
            return
        action = self.upstream.decide(self, "CONTENT", line)
        if action is not None:
            while not self.buffer:
                self.fill()
            if action is STALL:
                self.upstream.note_stall("CONTENT")
                while not self.upstream.closing.wait(0.1):  # takes nothing more
                    pass
            elif action is RESET:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            raise EOFError
        self.end_of_data(Received(self, self.sender, self.mail_line, self.rcpts, self.read_content()))

    def end_of_data(self, message):
        self.forget()
        self.upstream.arrived(message)
        if self.upstream.lmtp:  # RFC 2033 4.2
            for rcpt in message.rcpts:
                self.act("EOD", f"{message.sender} {rcpt}", f"250 2.0.0 <{rcpt}> stored",
                         lambda reply, rcpt=rcpt: self.upstream.answers(message, reply, rcpt))
            return
        self.act("EOD", message.sender + " " + " ".join(message.rcpts), "250 2.0.0 stored",
                 lambda reply: self.upstream.answers(message, reply))

    def do_bdat(self, line):
        """RFC 3030: the octets are read whatever becomes of them; after a failure only RSET helps."""
        match = re.match(r"BDAT (\d+)( LAST)?$", line)
        if not match or "CHUNKING" not in map(str.upper, self.upstream.extensions):
            self.upstream.violation(f"{line!r} to a server without CHUNKING, or no such command")
        size = int(match[1])
        action = self.upstream.decide(self, "CONTENT", line)
        if action is not None:
            while size and not self.buffer:
                self.fill()
            if action is RESET:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            raise EOFError
        while len(self.buffer) < size:
            self.fill()
        self.chunks.append(bytes(self.buffer[:size]))
        del self.buffer[:size]
        if not self.rcpts or self.chunk_failed:
            self.chunk_failed = True
            self.act("BDAT", line, "503 5.5.1 no valid recipients")
            return
        if not match[2]:
            self.act("BDAT", line, f"250 2.0.0 {size} octets")
            return
        message = Received(self, self.sender, self.mail_line, self.rcpts, b"".join(self.chunks))
        message.chunks = len(self.chunks)
        self.end_of_data(message)
        if not message.accepted and message.reply is not None and not self.upstream.lmtp:
            self.sender, self.chunk_failed = message.sender, True  # until RSET

    def do_rset(self, line):
        self.forget()
        self.act("RSET", line, "250 2.0.0 OK")

    def do_noop(self, line):
        self.act("NOOP", line, "250 2.0.0 OK")

    def do_quit(self, line):
        self.act("QUIT", line, "221 2.0.0 bye")
        return False


class Upstream:
    """An SMTP server (lmtp: an LMTP one) on 127.0.0.1, or on a socket at `path`, that answers 2yz to everything, but for its rules.

    .received   every message whose final dot arrived, in that order
    .messages   those of them that got a 2yz
    .sessions   every connection, each with its .lines
    .violations what the client did against the protocol (the test fails with them)
    """

    def __init__(self, test, extensions=("PIPELINING", "8BITMIME", "SIZE 0", "ENHANCEDSTATUSCODES"), rules=(),
                 tls=None, implicit_tls=False, users=None, tokens=None, reserved=None, lmtp=False, path=None):
        self.extensions, self.rules = tuple(extensions), list(rules)
        self.pipelining = "PIPELINING" in map(str.upper, self.extensions)
        self.tls, self.implicit_tls, self.users = tls, implicit_tls, users
        self.tokens, self.logins = tokens or {}, []
        self.received, self.sessions, self.violations, self.stalls = [], [], [], []
        self.lmtp = lmtp
        self.open_sessions = 0
        self.most_open = 0
        self.changed = threading.Condition()
        self.closing = threading.Event()
        if reserved is not None:
            self.listener = reserved.socket
        elif path is not None:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(str(path))
            os.chmod(path, 0o666)
        else:
            self.listener = socket.socket()
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(128)
        self.port = None if path is not None else self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()
        test.later(self.close)

    def on(self, phase, action, match=None, times=None):
        """Adds a rule in front of the others; match is searched in the command line (EOD: sender and recipients)."""
        rule = Rule(phase, action, match, times)
        with self.changed:
            self.rules.insert(0, rule)
        return rule

    def clear(self):
        """No rules any more."""
        with self.changed:
            self.rules.clear()

    @property
    def messages(self):
        with self.changed:
            return [m for m in self.received if m.accepted]

    def wait_messages(self, count=1, timeout=None):
        """The accepted messages, once there are that many."""
        self._wait(lambda: len(self.messages) >= count,
                   lambda: f"{count} messages, only {len(self.messages)} came", timeout)
        return self.messages

    def wait_received(self, count=1, timeout=None):
        self._wait(lambda: len(self.received) >= count,
                   lambda: f"{count} final dots, only {len(self.received)} came", timeout)

    def wait_stall(self, phase):
        self._wait(lambda: phase in self.stalls, lambda: f"a stall in {phase}", None)

    def _wait(self, question, what, timeout):
        end = time.monotonic() + (timeout or DEADLINE)
        with self.changed:
            while not question():
                left = end - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"upstream: waited in vain for {what()}")
                self.changed.wait(min(left, 0.2))

    def commands(self, verb=""):
        """All command lines of all sessions that begin with verb."""
        with self.changed:
            return [line for session in self.sessions for line in session.lines if line.upper().startswith(verb.upper())]

    # -- called by sessions

    def decide(self, _session, phase, line):
        with self.changed:
            for rule in self.rules:
                if rule.phase == phase and (rule.times is None or rule.used < rule.times) and \
                        (rule.match is None or rule.match.search(line)):
                    rule.used += 1
                    return rule.action
        return None

    def violation(self, text):
        with self.changed:
            self.violations.append(text)

    def note_stall(self, phase):
        with self.changed:
            self.stalls.append(phase)
            self.changed.notify_all()

    def arrived(self, message):
        with self.changed:
            self.received.append(message)
            self.changed.notify_all()

    def answers(self, message, reply, rcpt=None):
        with self.changed:
            message.reply = reply
            if rcpt is not None:
                message.replies[rcpt] = reply
            self.changed.notify_all()

    def session_ended(self, _session):
        with self.changed:
            self.open_sessions -= 1
            self.changed.notify_all()

    def _accept(self):
        while not self.closing.is_set():
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.settimeout(DEADLINE * 4)
            if self.port is not None:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.changed:
                session = Session(self, sock, len(self.sessions))
                self.sessions.append(session)
                self.open_sessions += 1
                self.most_open = max(self.most_open, self.open_sessions)
                self.changed.notify_all()
            threading.Thread(target=session.run, daemon=True).start()

    def disconnect(self):
        """Breaks all connections."""
        with self.changed:
            for session in self.sessions:
                try:
                    session.socket.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self):
        """Stops listening and breaks what is open; fails when the client broke the protocol."""
        if self.closing.is_set():
            return
        self.closing.set()
        try:
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        except OSError:
            pass
        self.disconnect()
        self.thread.join(5)
        self.listener.close()
        assert not self.violations, f"the client broke the protocol: {self.violations[:5]}"


# ---- certificates --------------------------------------------------------

class Authority:
    """A CA of the test's own; .file is its certificate."""

    def __init__(self, test, name="ca"):
        self.openssl = need_program("openssl")
        self.test = test
        self.file, self.key = test.tmp / f"{name}.pem", test.tmp / f"{name}.key"
        self._request(self.key, self.file, "Test CA", ["-addext", "keyUsage=critical,keyCertSign,cRLSign"])
        self.file.chmod(0o644)

    def _request(self, key, cert, name, more):
        self.test.run([self.openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                       "-nodes", "-days", "2", "-keyout", key, "-out", cert, "-subj", f"/CN={name}", *more], check=0)

    def server_context(self, subject="IP:127.0.0.1", name="server"):
        """A context for a server with a certificate for that subjectAltName."""
        key, cert = self.test.tmp / f"{name}.key", self.test.tmp / f"{name}.pem"
        self._request(key, cert, name, ["-CA", self.file, "-CAkey", self.key, "-addext", f"subjectAltName={subject}",
                                        "-addext", "basicConstraints=critical,CA:FALSE"])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        return context
