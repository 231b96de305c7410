#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A filter: marks each message in its header, and adds a footer to plain text.

    filter_command = {"/usr/local/bin/add-footer.py", "Sent from the shop floor."}

posthouse-program(7) is the contract. What is signed or encrypted, and all that
is not simply text, keeps its body.
"""

import email
import email.policy
import sys

EX_TEMPFAIL, EX_CONFIG = 75, 78


def add_footer(message, footer):
    if message.get_content_type() != "text/plain" or message.get_content_disposition() == "attachment":
        return False
    text = message.get_content()
    text += "" if text.endswith("\n") else "\n"
    message.set_content(f"{text}-- \n{footer}\n", charset="utf-8" if not (text + footer).isascii() else "us-ascii")
    return True


def main():
    data = sys.stdin.buffer.read()
    message = email.message_from_bytes(data, policy=email.policy.default)
    changed = False
    try:
        changed = add_footer(message, sys.argv[1])
        result = message.as_bytes() if changed else data
    except (LookupError, UnicodeError, ValueError) as problem:  # of its author, no reason to refuse it
        print(f"the body stays as it is: {problem}", file=sys.stderr)
        result, changed = data, False
    sys.stdout.buffer.write(b"X-Footer: %s\n" % (b"added" if changed else b"none") + result)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        print("add-footer: the footer must be the only argument", file=sys.stderr)
        sys.exit(EX_CONFIG)
    try:
        main()
    except Exception as problem:  # pylint: disable=broad-except
        print(f"add-footer: {problem!r}", file=sys.stderr)
        sys.exit(EX_TEMPFAIL)
