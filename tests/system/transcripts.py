# SPDX-License-Identifier: ISC
"""Plays the SMTP dialogues of tests/transcripts (its README has the format)
over a socket; tests/unit/transcript.c plays the same in memory."""

import re

from harness import SRCDIR, equal
from smtp_peers import Client

FOLDER = SRCDIR / "tests" / "transcripts"
VRFY_TABLE = "".join(re.findall(r"^  (\S+@?\S+ +(?:allow|reject|list|unknown).*\n)", (FOLDER / "README").read_text(), re.M))
_ESCAPE = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|\{(\d+)\*([^}]*)\}|(.))")
_SIMPLE = {b"r": b"\r", b"n": b"\n", b"0": b"\0", b"t": b"\t", b"\\": b"\\"}


def octets(text):
    """The octets that the text of a C or M line stands for."""
    def one(match):
        if match[1]:
            return bytes([int(match[1], 16)])
        if match[2]:
            return octets(match[3]) * int(match[2])
        return _SIMPLE[match[4]]
    return _ESCAPE.sub(one, text)


class Transcript:
    def __init__(self, path):
        self.name = path.stem
        self.settings = {}
        self.steps = []  # (line number, kind, text)
        self.contents = []  # of the messages that must be accepted
        previous = None
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            if not line or line.startswith(b"#"):
                continue
            match = re.match(rb"set (\S+) (.*)$", line)
            if match:
                self.settings[match[1].decode()] = match[2].decode()
                continue
            match = re.match(rb"([CSM])(?:([:|]) ?(.*)|(!))$", line)
            assert match, f"{path}:{number}: not a step: {line!r}"
            kind = (match[1] + (match[2] or match[4])).decode()
            text = match[3] or b""
            if kind == "M:":
                if previous != "M:":
                    self.contents.append([])
                self.contents[-1].append(octets(text))
            else:
                self.steps.append((number, kind, text))
            previous = kind
        # "M:" alone: no content
        self.contents = [b"".join(line + b"\r\n" for line in lines) if lines != [b""] else b""
                         for lines in self.contents]

    def play(self, port):
        client = Client(port, helo=None)
        pending = b""
        for number, kind, text in self.steps:
            where = f"{self.name}.txt:{number}"
            if kind == "C:":
                pending += octets(text) + b"\r\n"
                continue
            if kind == "C|":
                pending += octets(text)
                continue
            try:
                client.send(pending)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the replies tell whether it was right to close
            pending = b""
            if kind == "C!":
                client.socket.shutdown(1)
            elif kind == "S!":
                equal(client.at_eof(), b"", f"{where}: after the last reply")
            else:
                try:
                    line = client.read_line()
                except OSError as e:
                    raise AssertionError(f"{where}: expected {text!r}: {e!r}") from e
                wanted = text.decode("latin-1")
                if wanted.endswith("..."):
                    assert line.startswith(wanted[:-3]), f"{where}: {line!r} instead of {wanted!r}"
                else:
                    equal(line, wanted, where)
        if pending:
            client.send(pending)
        client.close()


def all_transcripts():
    return [Transcript(path) for path in sorted(FOLDER.glob("*.txt"))]
