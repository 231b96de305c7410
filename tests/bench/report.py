# SPDX-License-Identifier: ISC
"""The report of `make bench`: figures, targets, facts. Samples in, text out."""
import statistics

OURS, STOCK, TUNED = "posthouse", "postfix", "postfix-tuned"

# measure, cell, what it is, unit
FIGURES = (
    ("raw", "4k@10", "4 kB, 10 processes", "/s"),
    ("raw", "4k@50", "4 kB, 50 processes", "/s"),
    ("raw", "1M@10", "1 MB, 10 processes", "/s"),
    ("accept", "4k@10 stopped", "accept 4 kB, 10 sessions, upstream stopped", "/s"),
    ("accept", "4k@50 stopped", "accept 4 kB, 50 sessions, upstream stopped", "/s"),
    ("accept", "1M@10 stopped", "accept 1 MB, 10 sessions, upstream stopped", "/s"),
    ("accept", "4k@10 silent", "accept 4 kB, 10 sessions, upstream silent", "/s"),
    ("accept", "4k@50 silent", "accept 4 kB, 50 sessions, upstream silent", "/s"),
    ("accept", "1M@10 silent", "accept 1 MB, 10 sessions, upstream silent", "/s"),
    ("through", "4k@10", "end to end 4 kB, 10 sessions", "/s"),
    ("drain", "4k", "drain 4 kB to an upstream 50 ms away", "/s"),
    ("drain notice", "s", "  ... the upstream's return was noticed after", "s"),
    ("memory", "pss", "PSS of a worker with an idle session", "kB"),
    ("memory", "private", "  ... private pages", "kB"),
    ("memory", "rss", "  ... RSS", "kB"),
    ("crowd", "pss", "1,000 idle sessions: PSS of a worker", "kB"),
    ("crowd", "total", "  ... PSS of all processes", "MB"),
    ("crowd", "alone", "accept 4 kB, 100 sessions", "/s"),
    ("crowd", "beside", "  ... beside 1,000 idle ones", "/s"),
    ("handshakes", "ec full", "STARTTLS and QUIT, 8 clients, full handshakes, ECDSA", "/s"),
    ("handshakes", "ec full cpu", "full handshakes, ECDSA, in a second of the relay's CPU time", "/s"),
    ("handshakes", "ec resumed", "STARTTLS and QUIT, 8 clients, resumed", "/s"),
    ("handshakes", "ec resumed cpu", "resumed ones in a second of the relay's CPU time", "/s"),
    ("handshakes", "rsa full", "STARTTLS and QUIT, 8 clients, full handshakes, RSA 2048", "/s"),
    ("handshakes", "rsa full cpu", "full handshakes, RSA 2048, in a second of the relay's CPU time", "/s"),
    ("auth", "none", "connection, EHLO, QUIT, 8 clients in Python", "/s"),
    ("auth", "cheap", "  ... with AUTH PLAIN, the cheapest hash there is", "/s"),
    ("auth", "yescrypt", "  ... with AUTH PLAIN, yescrypt", "/s"),
    ("auth", "pss", "PSS of the auth process", "kB"),
    ("auth", "pss child", "  ... of the child of an exchange", "kB"),
    ("queue", "n", "list a long queue", "/s"),
    ("remove", "n", "remove half of a long queue", "/s"),
    ("latency", "ms", "250 to arrival at the upstream, median", "ms"),
    ("latency p95", "ms", "  ... 95th percentile", "ms"),
    ("scale", "start due", "long queue, all due: start to first delivery", "s"),
    ("scale", "pss due", "  ... PSS of the relay, a message", "octets"),
    ("scale", "rss due", "  ... RSS of the relay, a message", "octets"),
    ("scale", "latency due", "  ... a new message leaves after, median", "ms"),
    ("scale", "latency95 due", "  ... 95th percentile", "ms"),
    ("scale", "start deferred", "long queue, all deferred: start to first delivery", "s"),
    ("scale", "pss deferred", "  ... PSS of the relay, a deferred message", "octets"),
    ("scale", "rss deferred", "  ... RSS of the relay, a deferred message", "octets"),
    ("scale", "latency deferred", "  ... a new message leaves after, median, beside deferred", "ms"),
    ("scale", "latency95 deferred", "  ... 95th percentile, beside deferred", "ms"),
    ("scale", "list", "a tenth of it: posthouse queue, postqueue -p", "s"),
    ("scale", "remove", "  ... posthouse remove, postsuper -d of half", "s"),
)

# measure, cell, compared with (None: the figure itself; "raw": the disk's own limit), relation, limit
TARGETS = (
    ("accept", "4k@10 stopped", STOCK, ">=", 3.0),
    ("accept", "4k@50 stopped", STOCK, ">=", 6.0),
    ("accept", "1M@10 stopped", STOCK, ">=", 3.0),
    ("accept", "4k@10 stopped", TUNED, ">", 1.0),
    ("accept", "4k@50 stopped", TUNED, ">", 1.0),
    ("accept", "1M@10 stopped", TUNED, ">", 1.0),
    ("accept", "4k@50 stopped", "raw", ">=", 0.5),
    ("through", "4k@10", STOCK, ">=", 3.0),
    ("drain", "4k", STOCK, ">=", 3.0),
    ("memory", "pss", None, "<=", 200.0),
    ("latency", "ms", None, "<=", 5.0),
    ("handshakes", "ec full cpu", STOCK, ">=", 1.5),
    ("handshakes", "ec resumed", STOCK, ">=", 1.5),
    ("handshakes", "ec resumed cpu", STOCK, ">=", 1.5),
    ("scale", "start due", None, "<=", 10.0),
    ("scale", "start deferred", None, "<=", 10.0),
    ("scale", "pss due", None, "<=", 150.0),
    ("scale", "pss deferred", None, "<=", 150.0),
    ("scale", "latency95 due", None, "<=", 50.0),
    ("scale", "latency95 deferred", None, "<=", 50.0),
    ("scale", "list", None, "<=", 0.5),
    ("scale", "remove", None, "<=", 10.0),
)

HOLDS = {">=": lambda a, b: a >= b, ">": lambda a, b: a > b, "<=": lambda a, b: a <= b}


def percentile(values, percent):
    """The nearest rank."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def samples_of(results, measure, cell, column):
    return results.get(measure, {}).get(cell, {}).get(column, [])


def ratio(ours, theirs):
    """The median of the rounds' own ratios: what slows the machine for a while slows both."""
    pairs = [a / b for a, b in zip(ours, theirs) if b]
    return statistics.median(pairs) if pairs else None


def figures(results):
    """One row a figure: {text, unit, column: median ...}."""
    rows = []
    for measure, cell, text, unit in FIGURES:
        source, value = (measure, statistics.median) if measure != "latency p95" else \
            ("latency", lambda values: percentile(values, 95))
        columns = results.get(source, {}).get(cell, {})
        if columns:
            rows.append({"measure": measure, "cell": cell, "text": text, "unit": unit,
                         "columns": {name: value(values) for name, values in columns.items()},
                         "spread": {name: [min(values), max(values)] for name, values in columns.items()}})
    return rows


def targets(results):
    """One row a target that was measured at all; met is None where the other side is missing."""
    rows = []
    for measure, cell, other, relation, limit in TARGETS:
        if measure not in results:
            continue
        ours = samples_of(results, measure, cell, OURS)
        text, unit = next(f[2:] for f in FIGURES if f[:2] == (measure, cell))
        if other is None:
            value = statistics.median(ours) if ours else None
        elif other == "raw":
            value = ratio(ours, samples_of(results, "raw", cell.split()[0], "fsync"))
        else:
            value = ratio(ours, samples_of(results, measure, cell, other))
        rows.append({"text": text, "unit": unit, "against": other, "relation": relation, "limit": limit, "value": value,
                     "met": None if value is None else HOLDS[relation](value, limit)})
    return rows


def number(value, unit):
    if value is None:
        return "-"
    if unit in ("ms", "s"):
        return f"{value:.2f} {unit}"
    return f"{value:,.0f}{unit if unit == '/s' else ' ' + unit}"


def table(head, lines):
    """Columns as wide as their widest cell; the first to the left, the others to the right."""
    widths = [max(len(line[i]) for line in [head] + lines) for i in range(len(head))]
    for line in [head, ["-" * width for width in widths]] + lines:
        yield "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                        for i, (cell, width) in enumerate(zip(line, widths))).rstrip()


def times(a, b):
    return f"{a / b:.2g}x" if a is not None and b else "-"


def raw_lines(rows):
    for row in rows:
        value = row["columns"].get
        yield [row["text"], *(number(value(name), row["unit"]) for name in ("fsync", "rename+fsync"))]


def figure_lines(rows, relays):
    for row in rows:
        value = row["columns"].get
        # a ratio of delays near nought says nothing
        compare = times if row["unit"] in ("/s", "kB") or row["cell"] in ("list", "remove") else lambda *_: ""
        yield [row["text"], *(number(value(name), row["unit"]) for name in relays),
               compare(value(OURS), value(STOCK)), compare(value(OURS), value(TUNED))]


def target_line(row):
    unit, scale, name = "x", 1, {STOCK: " stock Postfix", TUNED: " tuned Postfix"}.get(row["against"], "")
    if row["against"] == "raw":
        unit, scale, name = " %", 100, " of the raw limit"
    elif row["against"] is None:
        unit = f" {row['unit']}"
    verdict = {True: "met", False: "MISSED", None: "not measured"}[row["met"]]
    measured = "-" if row["value"] is None else f"{row['value'] * scale:.1f}{unit}"
    return [row["text"], f"{row['relation']} {row['limit'] * scale:g}{unit}{name}", measured, verdict]


def print_report(report, facts, notes, relays):
    print(f"\n{facts['cpus']} CPUs ({facts['cpu']}), {facts['memory_gib']} GiB, Linux {facts['kernel']}")
    print(f"disk: {facts['disk']}")
    if facts["postfix"]:
        print(f"Postfix {facts['postfix']}: 'postfix' as Debian configures it, 'postfix-tuned' as an "
              f"operator would; log: {facts['postfix_log']}")
    if facts["others"] > 0.1:
        print(f"other programs kept the CPUs {facts['others']:.0%} busy between our runs: the rates are "
              "lower than this machine's, and the ratios uncertain")
    for note in notes:
        print(f"not measured: {note}")
    raw = [row for row in report["figures"] if row["measure"] == "raw"]
    rest = [row for row in report["figures"] if row["measure"] != "raw"]
    if raw:
        print()
        print("\n".join(table(["raw limit of this disk", "create, write, fsync", "with a rename before it"],
                              list(raw_lines(raw)))))
    if rest:
        print()
        print("\n".join(table(["medians of the rounds", *relays, "/ stock", "/ tuned"],
                              list(figure_lines(rest, relays)))))
    if report["targets"]:
        print()
        print("\n".join(table(["target (median of the rounds' ratios)", "wanted", "measured", ""],
                              [target_line(row) for row in report["targets"]])))
    print(f"\n{facts['seconds']} s")
