# SPDX-License-Identifier: ISC
"""LIMITS (RFC 9422): what an upstream announces is kept, as if its operator had told it."""

import harness
from harness import equal
from smtp_peers import Client, Upstream

CONTENT = b"Subject: limits\r\n\r\nbody\r\n"
OFFERS = ("PIPELINING", "8BITMIME", "SIZE 0", "ENHANCEDSTATUSCODES")


def run(t, limits, messages, more="", name="posthoused"):
    """Sends messages (lists of recipients) through; the transactions that the upstream saw, and its sessions."""
    upstream = Upstream(t, extensions=(*OFFERS, f"LIMITS {limits}"))
    relay = t.daemon(config=f'upstream "main" {{\n remoteaddr = "{harness.address(upstream)}"\n max_connections = 1\n'
                     f' {more}\n}}\n', name=name)
    with Client(relay) as client:
        for rcpts in messages:
            client.message(CONTENT, rcpts=rcpts)
        client.quit()
    relay.wait_for("completed", count=len(messages))
    equal(relay.events("deferred"), [], "deferred")
    return upstream


def test_recipients_of_a_message(t):
    rcpts = [f"u{i}@example.test" for i in range(7)]
    for number, (limit, more, most) in enumerate((("RCPTMAX=3", "", 3), ("RCPTMAX=3", "recipients_per_message = 2", 2),
                                                  ("RCPTMAX=100", "", 7), ("RCPTMAX=0", "", 7))):
        upstream = run(t, limit, [rcpts], more, name=f"relay{number}")
        equal(max(len(m.rcpts) for m in upstream.messages), most, limit)
        equal(sorted(r for m in upstream.messages for r in m.rcpts), rcpts, "who has it")


def test_messages_of_a_connection(t):
    upstream = run(t, "MAILMAX=2", [["a@example.test"]] * 7)
    equal(len(upstream.messages), 7, "messages")
    assert all(len([line for line in s.lines if line.startswith("MAIL")]) <= 2 for s in upstream.sessions), upstream.sessions


def test_domains_of_a_message(t):
    upstream = run(t, "RCPTDOMAINMAX=1", [["a@one.test", "b@two.test", "c@ONE.test", "d@three.test"]])
    equal(sorted(sorted(m.rcpts) for m in upstream.messages),
          [["a@one.test", "c@ONE.test"], ["b@two.test"], ["d@three.test"]], "transactions")


def test_they_can_be_discarded(t):
    upstream = run(t, "RCPTMAX=1 MAILMAX=1", [["a@example.test", "b@example.test"]] * 3, 'discard_ehlo_keywords = "LIMITS"')
    equal([len(m.rcpts) for m in upstream.messages], [2, 2, 2], "recipients")


if __name__ == "__main__":
    harness.main(__name__, jobs=4)
