# SPDX-License-Identifier: ISC
"""Prints messages with the real smtpd.DebuggingServer, for test_debug.c to
compare with. For each FOLDER/N.content (mode, peer, mail options, rcpt options
a line each, then the content as it went over the wire, dots unstuffed) writes
FOLDER/N.expected. Exit status 77: this Python has no smtpd.
"""

import contextlib
import io
import pathlib
import sys
import warnings

warnings.simplefilter("ignore")
try:
    import smtpd
except ImportError:
    sys.exit(77)


def expected(raw):
    mode, peer, mail_options, rcpt_options, content = raw.split(b"\n", 4)
    # SMTPChannel.found_terminator: the terminator is CRLF.CRLF, lines are joined by LF
    data = b"\n".join(content.removesuffix(b"\r\n").split(b"\r\n"))
    options = {}
    if mode == b"text":
        data = str(data, "utf-8")
    else:
        options = {"mail_options": mail_options.decode().upper().split(),
                   "rcpt_options": rcpt_options.decode().upper().split()}
    server = smtpd.DebuggingServer.__new__(smtpd.DebuggingServer)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        server.process_message((peer.decode(), 4711), "a@b", ["c@d"], data, **options)
    return out.getvalue().encode("utf-8")


for path in pathlib.Path(sys.argv[1]).glob("*.content"):
    path.with_suffix(".expected").write_bytes(expected(path.read_bytes()))
