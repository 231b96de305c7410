# SPDX-License-Identifier: ISC
"""The same dialogues with Python's own smtpd.DebuggingServer and with the handler "debug": every command in every
state, with right and wrong arguments, with each way of setting the server. Same reply codes, or a documented reason:
REASONS, each of which posthouse-smtpd(7) repeats word by word."""

import concurrent.futures
import re
import socket

import harness
from harness import equal, python_with_smtpd, wait_until

# ---- the two servers ------------------------------------------------------------------------

SERVER = """
import asyncore, smtpd, socket, sys
socket.getfqdn = lambda name='': 'relay.test'  # no DNS here
server = smtpd.{name}(('127.0.0.1', 0), None, {options})
print(server.socket.getsockname()[1], file=sys.stderr, flush=True)
asyncore.loop()
"""


def smtpd_server(t, options, name="DebuggingServer"):
    process = t.start([python_with_smtpd(), "-u", "-W", "ignore", "-c", SERVER.format(name=name, options=options)],
                      name=f"smtpd.{name}")
    process.port = int(wait_until(lambda: process.lines, "the port of smtpd")[0])
    return process


def our_server(t, config, name="posthoused"):
    return t.daemon(config=f'handler = "debug"\n{config}', name=name)


# how each is told the same thing
SETTINGS = {
    "plain": ("decode_data=False", ""),
    "decode": ("decode_data=True", "decode_data = yes"),
    "utf8": ("enable_SMTPUTF8=True", "enable_smtputf8 = yes"),
    "small": ("data_size_limit=100", "data_size_limit = 100"),
    "endless": ("data_size_limit=0", "data_size_limit = 0"),
}

# ---- a dialogue -----------------------------------------------------------------------------


class Caller:
    """Says something and hears a code: 0 when the server closes instead."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=harness.DEADLINE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")
        self.code()

    def code(self):
        try:
            while line := self.file.readline():
                if line[3:4] == b" ":
                    return int(line[:3])
        except ConnectionResetError:
            pass
        return 0

    def say(self, data):
        try:
            self.socket.sendall(data)
        except (ConnectionResetError, BrokenPipeError):
            return 0
        return self.code()

    def command(self, line):
        """The code; of DATA (and a final dot) and BDAT both."""
        code = self.say(line + b"\r\n")
        if code == 354:
            return [code, self.say(b"Subject: x\r\n\r\nbody\r\n.\r\n")]
        return [code]

    def close(self):
        self.file.close()
        self.socket.close()


STATES = {
    "start": [],
    "helo": [b"HELO x.test"],
    "ehlo": [b"EHLO x.test"],
    "mail": [b"EHLO x.test", b"MAIL FROM:<a@b.test>"],
    "rcpt": [b"EHLO x.test", b"MAIL FROM:<a@b.test>", b"RCPT TO:<c@d.test>"],
    "helo-rcpt": [b"HELO x.test", b"MAIL FROM:<a@b.test>", b"RCPT TO:<c@d.test>"],
    "sent": [b"EHLO x.test", b"MAIL FROM:<a@b.test>", b"RCPT TO:<c@d.test>", b"DATA"],
}
PROBE = b"RCPT TO:<probe@d.test>"  # what state it is in then


def lines():
    """Every command, with right and wrong arguments."""
    paths = [b"<a@b.test>", b" <a@b.test>", b"a@b.test", b"<>", b"", b"<a@b.test", b"a@b.test>", b"<a@b.test>x", b"<a b@c.test>",
             b"<a>", b"a", b"<@b.test>", b"<a@>", b"<@x.test,@y.test:a@b.test>", b'<"a b"@b.test>', b"<a@[192.0.2.1]>",
             b"<a@[192.0.2>", b"<a@b..test>", b"<a..a@b.test>", b"<a@b_c.test>", b"<Postmaster>", "<ä@b.test>".encode(),
             "<a@ä.test>".encode(), b"<a\xe4@b.test>", b"<a\0@b.test>", b"<a@b.test> <c@d.test>", b"Name <a@b.test>",
             b"<" + b"a" * 64 + b"@b.test>", b"<" + b"a" * 65 + b"@b.test>", b"<a@" + b"b" * 300 + b".test>"]
    mail = [b"SIZE=10", b"SIZE=100", b"SIZE=101", b"SIZE=x", b"SIZE=", b"SIZE", b"SIZE=0", b"SIZE=33554432", b"SIZE=33554433",
            b"SIZE=99999999999999999999", b"SIZE=-1", b"BODY=7BIT", b"BODY=8BITMIME", b"body=8bitmime", b"BODY=BINARYMIME",
            b"BODY=9BIT", b"BODY", b"BODY=", b"SMTPUTF8", b"SMTPUTF8=1", b"SMTPUTF8=", b"BODY=8BITMIME SIZE=10",
            b"SIZE=10 SIZE=10", b"X=1", b"X", b"X=", b"=1", b"X-Y=1", b"RET=HDRS", b"ENVID=1", b"AUTH=<>", b"BY=100;R",
            b"REQUIRETLS", b"XFOO"]
    yield from (b"", b" ", b"NOOP", b"noop", b"NOOP x", b"NOOP ", b" NOOP", b"NOOP\t", b"RSET", b"RSET x", b"QUIT", b"QUIT x",
                b"HELO", b"HELO ", b"HELO y.test", b"helo y.test", b"HELO a b", b"HELO [192.0.2.1]", "HELO ä".encode(), b"HELO \xe4",
                b"EHLO", b"EHLO y.test", b"eHLO y.test", b"EHLO a b", b"HELO " + b"y" * 256, b"EHLO " + b"y" * 256,
                b"HELP", b"HELP x", b"HELP a b", b"HELP HELP", b"HELP EXPN", b"HELP mail", "HELP ä".encode())
    yield from (b"HELP " + verb for verb in b"EHLO HELO MAIL RCPT DATA RSET NOOP QUIT VRFY".split())
    yield from (b"VRFY", b"VRFY a@b.test", b"VRFY <a@b.test>", b"VRFY a", b"VRFY a b", b"VRFY @", b"VRFY <", b"VRFY <>", "VRFY ä@b".encode(),
                b"EXPN", b"EXPN list", b"DATA", b"data", b"DATA x", b"MAIL", b"RCPT", b"MAIL x", b"RCPT x", b"MAIL FROM", b"RCPT TO",
                b"MAIL TO:<a@b.test>", b"RCPT FROM:<a@b.test>", b"mail from:<a@b.test>", b"rcpt to:<a@b.test>", b"MAIL FROM :<a@b.test>",
                b"MAIL  FROM:<a@b.test>", b"MAIL\tFROM:<a@b.test>", b"MAILFROM:<a@b.test>", b"MAIL FROM:<a@b.test> ")
    for path in paths:
        yield b"MAIL FROM:" + path
        yield b"RCPT TO:" + path
    for parameter in mail:
        yield b"MAIL FROM:<a@b.test> " + parameter
    for parameter in (b"NOTIFY=NEVER", b"ORCPT=rfc822;a@b.test", b"X=1", b"X", b"X=", b"=1", b"SIZE=10", b"BODY=8BITMIME"):
        yield b"RCPT TO:<a@b.test> " + parameter
    yield "MAIL FROM:<ä@b.test> SMTPUTF8".encode()
    yield "MAIL FROM:<ä@b.test> SMTPUTF8 BODY=8BITMIME".encode()
    yield from (b"XYZ", b"XYZ x", "XYÄ".encode(), b"XY\xe4", b"AUTH PLAIN", b"AUTH PLAIN AHgAeA==", b"STARTTLS", b"ETRN x.test", b"SEND FROM:<a@b.test>",
                b"TURN", b"VERB", b"XCLIENT NAME=x", b"BDAT 0 LAST", b"GET / HTTP/1.1", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2", b"peer")
    for length in (511, 512, 513, 538, 539, 548, 549, 1000, 2000, 4096, 20000):
        yield b"NOOP " + b"x" * (length - 5)
        yield b"HELP " + b" " * (length - 9) + b"MAIL"
        yield b"X" * length
        yield b"MAIL FROM:<a@b.test>" + b" " * (length - 27) + b" SIZE=1"
        yield b"RCPT TO:<a@b.test>" + b" " * (length - 18)


def play(server, state, line):
    caller = Caller(server.port)
    try:
        for before in STATES[state]:
            caller.command(before)
        codes = caller.command(line)
        codes += caller.command(PROBE) if codes[-1] not in (0, 221, 421) else []
        return " ".join(map(str, codes))
    finally:
        caller.close()



# ---- where they differ ------------------------------------------------------------------------

# posthouse-smtpd(7) has each of these sentences; test_smtpd_map.py looks
REASONS = {
    "again": "HELO or EHLO a second time begins anew (RFC 5321, 4.1.4), where smtpd answers 503.",
    "hello": "A name in HELO or EHLO of more than 255 octets is 501, where smtpd takes it.",
    "noop": "NOOP may have an argument (RFC 5321, 4.1.1.9), where smtpd answers 501.",
    "blanks": "Blanks and tabs at the end of a line are nothing, where to smtpd a tab belongs to the command.",
    "long": "A command line may have 2048 octets, where smtpd answers 500 beyond 512, with some more for MAIL.",
    "octets": "A command that is not UTF-8, or an unknown one that is not ASCII, is answered as any other, where smtpd "
              "ends the session.",
    "parser": "An address that cannot be one is 501, and so is SIZE without a value, where smtpd ends the session on some "
              "of them; VRFY does not look closer and is 252.",
    "address": "An address has a domain, closed brackets, no blanks and no empty parts, and the length that RFC 5321 allows, "
               "and that of a recipient is not empty; another one is 501, where smtpd takes it.",
    "twice": "A parameter that is given twice is 501, where smtpd takes the last one.",
    "huge": "A SIZE that no machine could hold is 552 also where there is no limit, where smtpd takes it.",
    "behind": "What follows a path without a blank is 501, where smtpd takes it for a parameter and answers 555.",
    "hyphen": "A parameter's name may have a hyphen; it is not known and 555, where smtpd answers 501.",
    "beyond": "An address beyond ASCII needs SMTPUTF8 in MAIL and is 553 without, where smtpd takes it.",
    "nested": "MAIL inside a transaction is 503 whatever its argument is, where smtpd answers 501 to a wrong one.",
    "order": "DATA with an argument is 501 also before RCPT, where smtpd answers 503.",
    "nul": "A NUL in a command is 500, where smtpd takes it.",
    "help": "HELP HELP tells the syntax of HELP, where smtpd answers 501.",
    "known": "AUTH, BDAT, STARTTLS and XCLIENT are known: where they are not offered, or not now, the answer may be "
             "502, 503 or 550, and BDAT ends the session, where smtpd answers 500.",
    "foreign": "What only a web browser or a proxy says ends the session with 421, where smtpd answers 500.",
    "bare": "Content with a CR or LF that stands alone, or a NUL, is refused with 550, where smtpd takes it; bare_newline = "
            "normalize takes all but the NUL.",
    "empty": "A message without content ends with its dot, where smtpd waits for another end of data.",
    "over": "After 552 for a message that is too large the session goes on with commands, where smtpd takes them for content.",
    "count": "The size is counted with the CRLF of the last line, where smtpd leaves it out and counts the dots that were added.",
    "text": "Content that is not UTF-8 with decode_data is 250 with the handler debug and 554 with a module, where smtpd ends the "
            "session.",
    "many": "Recipients beyond max_recipients are 452, and after max_errors wrong commands the session ends with 421, where "
            "smtpd has no limit.",
}

# reason, the line (or what sets it apart), the codes of smtpd, ours; the first that fits counts
DIFFERENCES = (
    ("octets", rb"[\x80-\xff]", "0", r"(250|50[013])( \d+)?"),
    ("nul", rb"\0", r"(250|503) \d+", r"500 \d+"),
    ("long", rb"(?s)^.{513,}", r"500 \d+", r"(250|501|503) \d+"),
    ("hello", rb"^(HELO|EHLO) y{256}", r"(250|503) \d+", r"501 \d+"),
    ("again", rb"(?i)^(HELO|EHLO) ", r"503 \d+", "250 503"),
    ("blanks", rb"^NOOP\t", r"500 (\d+)", r"250 \d+"),
    ("noop", rb"^NOOP x", r"501 \d+", r"250 \d+"),
    ("help", rb"^HELP HELP", r"501 \d+", r"250 \d+"),
    ("parser", rb"^VRFY [@<]", "0", r"252 \d+"),
    ("parser", rb"^(MAIL FROM|RCPT TO):<(@b|a@>|a@\[|a@b\.\.)|^MAIL FROM:<a@b.test> SIZE$", "0", r"50[13] \d+"),
    ("twice", rb"^MAIL FROM:<a@b.test> SIZE=10 SIZE=10", "250 250", "501 503"),
    ("huge", rb"^MAIL FROM:<a@b.test> SIZE=9{20}", "250 250", "552 503"),
    ("beyond", rb"^(MAIL FROM|RCPT TO):.*[\x80-\xff]", "250 250", r"553 \d+"),
    ("address", rb"^(MAIL FROM|RCPT TO):", "250 250", r"501 \d+"),
    ("behind", rb"^(MAIL FROM|RCPT TO):<a@b.test>x", r"555 \d+", r"501 \d+"),
    ("hyphen", rb"^MAIL FROM:<a@b.test> X-Y=1", "501 503", "555 503"),
    ("nested", rb"^MAIL", "501 250", "503 250"),
    ("order", rb"^DATA x", "503 250", "501 250"),
    ("known", rb"^(AUTH|STARTTLS|XCLIENT)", r"500 \d+", r"(502|503|550) \d+"),
    ("known", rb"^BDAT", r"500 \d+", r"500 421"),
    ("foreign", rb"^(GET|PROXY) ", r"500 \d+", "421"),
)


def reason(line, theirs, ours):
    for entry in DIFFERENCES:
        _key, pattern, one, other = entry
        if re.search(pattern, line) and re.fullmatch(one, theirs) and re.fullmatch(other, ours):
            return entry
    return None


def compare(t, setting, states, said, name="posthoused"):
    """Plays all of it to both; returns the differences that were met."""
    theirs, ours = smtpd_server(t, SETTINGS[setting][0]), our_server(t, SETTINGS[setting][1], name=name)
    ours.ready()
    met, unknown = set(), []
    tasks = [(state, line) for state in states for line in said]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = pool.map(lambda task: (play(theirs, *task), play(ours, *task)), tasks)
        for (state, line), (one, other) in zip(tasks, results):
            if one == other:
                continue
            entry = reason(line, one, other)
            if entry:
                met.add(entry)
            else:
                unknown.append(f"{state}: {line[:70]!r} ({len(line)} octets): smtpd {one}, posthoused {other}")
    equal(unknown, [], f"differences without a reason ({setting})")
    t.comment(f"{len(tasks)} dialogues")
    return met


def test_plain(t):
    """All of it in every state; each documented difference is still one."""
    met = compare(t, "plain", STATES, list(dict.fromkeys(lines())))
    left = [entry for entry in DIFFERENCES if entry not in met and entry[0] != "huge"]
    equal(left, [], "differences that are none any more")


def of_a_setting(setting):
    def test(t):
        said = [line for line in dict.fromkeys(lines()) if re.match(rb"(MAIL FROM|RCPT TO|EHLO|DATA|HELP MAIL)", line)]
        met = compare(t, setting, ("helo", "ehlo", "rcpt"), said)
        if setting == "endless":
            assert any(entry[0] == "huge" for entry in met), "SIZE of 20 digits"
    return test


test_decode, test_utf8, test_small, test_endless = map(of_a_setting, ("decode", "utf8", "small", "endless"))


# ---- content ------------------------------------------------------------------------------------


def codes(server, *steps):
    """The code after each; a step without a reply of its own ends with None."""
    caller = Caller(server.port)
    try:
        for before in STATES["rcpt"]:
            caller.command(before)
        return [caller.say(step) for step in (b"DATA\r\n", *steps)]
    finally:
        caller.close()


def both(t, setting="plain"):
    theirs, ours = smtpd_server(t, SETTINGS[setting][0]), our_server(t, SETTINGS[setting][1])
    return theirs, ours.ready()


def test_content(t):
    theirs, ours = both(t)
    for content in (b"x\r\n", b"\r\n", b"..\r\n...\r\n", b".x\r\n", b"Subject: x\r\n\r\n\xe4\xff\x01\r\n", b"x" * 100000 + b"\r\n", b"x\r\n" * 5000):
        seen = [codes(server, content + b".\r\n", b"NOOP\r\n") for server in (theirs, ours)]
        equal(seen, [[354, 250, 250]] * 2, f"replies to {content[:20]!r}")
    for content in (b"a\nb\r\n", b"a\rb\r\n", b"a\n.\nb\r\n", b"a\n.\r\nb\r\n", b"a\0b\r\n"):  # "bare"
        seen = [codes(server, content + b".\r\n", b"NOOP\r\n") for server in (theirs, ours)]
        equal(seen, [[354, 250, 250], [354, 550, 250]], f"replies to {content[:20]!r}")
    # "empty": for smtpd the first dot is content, as no CRLF stands in front of it
    equal(codes(theirs, b".\r\nRSET\r\n.\r\n", b"NOOP\r\n"), [354, 250, 250], "smtpd")
    equal(codes(ours, b".\r\n", b"RSET\r\n", b"NOOP\r\n"), [354, 250, 250, 250], "posthoused")


def test_too_large(t):
    theirs, ours = both(t, "small")
    line = b"x" * 30 + b"\r\n"
    for server in (theirs, ours):
        equal(codes(server, b"x" * 97 + b"\r\n.\r\n")[1], 250, "a small one")
    # "over": for smtpd NOOP is content, which is a message then
    equal(codes(theirs, line * 9 + b".\r\n", b"NOOP\r\n.\r\n", b"NOOP\r\n"), [354, 552, 250, 250], "smtpd")
    equal(codes(ours, line * 9 + b".\r\n", b"NOOP\r\n", b"NOOP\r\n"), [354, 552, 250, 250], "posthoused")
    # "count": 100 octets with the last CRLF, 102, and many dots
    for content, expected in ((b"x" * 98 + b"\r\n", (250, 250)), (b"x" * 100 + b"\r\n", (250, 552)), (b"x" * 101 + b"\r\n", (552, 552)),
                              ((b".." + b"\r\n") * 30, (552, 250))):
        seen = tuple(codes(server, content + b".\r\n")[1] for server in (theirs, ours))
        equal(seen, expected, f"{len(content)} octets")


def test_text(t):
    """decode_data: what is UTF-8, and what is not."""
    theirs, ours = both(t, "decode")
    for server, expected in ((theirs, (250, 0)), (ours, (250, 250))):
        seen = tuple(codes(server, content + b"\r\n.\r\n")[1] for content in ("ä".encode(), b"\xe4"))
        equal(seen, expected, f"replies of {server.name}")


def test_many(t):
    """smtpd has no limits."""
    theirs = smtpd_server(t, SETTINGS["plain"][0])
    ours = our_server(t, "max_recipients = 100\nmax_errors = 3\n")
    for server, left, errors in ((theirs, 250, [500] * 4), (ours, 452, [500, 500, 500, 421])):
        caller = Caller(server.port)
        for line in STATES["mail"]:
            caller.command(line)
        equal([caller.command(b"RCPT TO:<r%d@d.test>" % i)[0] for i in range(102)], [250] * 100 + [left] * 2, f"recipients of {server.name}")
        caller.close()
        caller = Caller(server.port)
        equal([caller.command(b"XYZ")[0] for i in range(4)], errors, f"errors of {server.name}")
        caller.close()


def test_what_is_printed(t):
    """The same octets on standard output."""
    contents = (b"Subject: x\r\n\r\nbody\r\n", b"x\r\n", b"\r\n\r\n", b"..dot\r\n", "Ü: ü'\"\t\\\r\n\r\nä\r\n".encode(), b"\x01\x7f\r\n")
    for setting in ("plain", "decode", "utf8"):
        outputs = []
        for server in (smtpd_server(t, SETTINGS[setting][0]), our_server(t, SETTINGS[setting][1], name=f"posthoused-{setting}")):
            for content in contents:
                caller = Caller(server.port)
                for line in (b"EHLO x.test", b"MAIL FROM:<a@b.test> SIZE=10", b"RCPT TO:<c@d.test>"):
                    equal(caller.command(line), [250], line)
                equal([caller.say(b"DATA\r\n"), caller.say(content + b".\r\n")], [354, 250], "DATA")
                caller.close()
            outputs.append(server.wait_stdout(lambda out: out.count(b"END MESSAGE") == len(contents) and out, "all messages"))
        equal(outputs[1], outputs[0], f"what is printed ({setting})")


def test_the_base_class(t):
    """smtpd.SMTPServer does nothing with a message, and ends the session; here no handler is like that."""
    theirs = smtpd_server(t, "", name="SMTPServer")
    equal(codes(theirs, b"x\r\n.\r\n"), [354, 0], "replies of smtpd.SMTPServer")
    done = t.run([harness.BUILDDIR / "posthoused", "-F", "-n", "--spool", t.tmp / "spool", "-c", "SMTPServer", "127.0.0.1:0"], check=1)
    assert b"SMTPServer" in done.stderr, done.stderr


if __name__ == "__main__":
    harness.main(__name__)
