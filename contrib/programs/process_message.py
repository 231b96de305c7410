#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""process_message of Python's smtpd, for posthoused: write yours in place of the one below.

    handler = "exec"
    exec_command = {"/usr/local/bin/process_message.py"}

posthouse-program(7) is the contract. Unlike in smtpd each message has a process
of its own: what is to be kept from one to the next must be put somewhere.
"""

import os
import sys


def process_message(peer, mailfrom, rcpttos, data, mail_options, rcpt_options):
    """peer is (address, port), data is bytes with lines that end with \\n, but the last one. Return nothing to accept the
    message, or the reply as text."""
    header = data.partition(b"\n\n")[0]
    if b"\nsubject:" not in b"\n" + header.lower():
        return "554 5.6.0 A message without a subject is not for me"
    print(f"{len(data)} octets from {mailfrom} at {peer[0]} for {', '.join(rcpttos)}", file=sys.stderr)
    return None


def main():
    env = os.environ
    port = env.get("CLIENT_PORT")
    reply = process_message(
        peer=(env["CLIENT_ADDRESS"], int(port) if port else None),
        mailfrom=env["SENDER"] or "<>",  # as in smtpd
        rcpttos=env["RECIPIENTS"].split("\n"),
        data=sys.stdin.buffer.read().removesuffix(b"\n"),
        mail_options=env.get("MAIL_OPTIONS", "").split(),
        rcpt_options=env.get("RCPT_OPTIONS", "").split())
    if reply:
        print(reply)
    # an exception ends this with status 1: the client is asked to come again


if __name__ == "__main__":
    main()
