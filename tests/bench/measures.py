# SPDX-License-Identifier: ISC
"""What `make bench` measures, each measure as rounds in which the relays take turns.

Every run of a relay starts on an empty spool and stops after it, so that no
run pays for another's leftovers. A measure adds its samples to the results:
results[measure][cell][column] = list of samples, one a round.
"""
import os
import statistics
import subprocess
import time

from procs import BenchError, ClosedPort, SilentPort, Talker, wait_until


def others_busy(seconds=0.05):
    """The share of the CPUs in use while nothing of ours runs; waiting for the disk counts as in use."""
    def ticks():
        with open("/proc/stat", encoding="ascii") as f:
            field = [int(word) for word in f.readline().split()[1:9]]
        return sum(field), field[3]
    total, idle = ticks()
    time.sleep(seconds)
    total_then, idle_then = ticks()
    return 1 - (idle_then - idle) / max(1, total_then - total)


class Bench:
    """The plan (how much, how often), the disk, the relays, the results so far."""

    def __init__(self, *, tools, folder, disk, relays, quick, say, scale_messages=None):
        self.tools = tools
        self.folder = folder
        self.disk = disk
        self.relays = relays
        self.quick = quick
        self.scale_messages = scale_messages  # None: as many as the plan says
        self.say = say
        self.results = {}
        self.runs = 0
        self.busy = []  # share of the CPUs that others used, looked at before each run

    def pick(self, normal, quick):
        return quick if self.quick else normal

    def add(self, measure, cell, column, sample):
        self.results.setdefault(measure, {}).setdefault(cell, {}).setdefault(column, []).append(sample)

    def tool(self, name, *words):
        return [os.path.join(self.tools, name), *map(str, words)]

    def run_tool(self, name, *words):
        child = Talker(self.tool(name, *words))
        try:
            answer = child.answer(300)
            child.finish()
            return answer
        finally:
            child.stop()

    def fresh_folder(self):
        self.disk.empty()
        self.busy.append(others_busy())
        self.runs += 1
        folder = os.path.join(self.disk.path, f"run{self.runs}")
        os.mkdir(folder, 0o755)
        return folder

    def in_turn(self, round_number):
        """The relays, each round beginning with another one."""
        shift = round_number % max(1, len(self.relays))
        return self.relays[shift:] + self.relays[:shift]


class Running:
    """A relay on an empty spool, with an upstream; stopped at the end whatever happens."""

    def __init__(self, bench, relay, upstream_port):
        self.bench, self.relay, self.upstream_port = bench, relay, upstream_port

    def __enter__(self):
        try:
            self.relay.start(self.bench.fresh_folder(), self.upstream_port)
        except BaseException:
            self.relay.stop()
            raise
        return self.relay

    def __exit__(self, *_):
        self.relay.stop()


class Sink:
    """The upstream that counts."""

    def __init__(self, bench, log=None):
        self.talker = Talker(bench.tool("smtpsink", *(["-l", log] if log else [])))
        self.port = self.talker.answer(10)["port"]

    def expect(self, messages):
        self.talker.tell(messages)
        self.talker.answer(10)

    def arrived(self, seconds):
        return self.talker.answer(seconds)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.talker.stop()


# name: processes or sessions, bytes
CELLS = {"4k@10": (10, 4096), "4k@50": (50, 4096), "1M@10": (10, 1 << 20)}


def raw_once(bench, cell):
    """The disk's own limit, and the same with the rename that Posthouse's spool needs."""
    processes, size = CELLS[cell]
    for column, words in (("fsync", ()), ("rename+fsync", ("-r",))):
        if column == "fsync" or not bench.quick:
            got = bench.run_tool("rawfsync", "-p", processes, "-s", size, "-t", bench.pick(1, 0.7), *words,
                                 bench.fresh_folder())
            bench.add("raw", cell, column, got["rate"])


def measure_raw(bench):
    for _ in range(bench.pick(5, 2)):
        for cell in CELLS:
            raw_once(bench, cell)


def accept_once(bench, relay, upstream_port, cell, sessions, size):
    with Running(bench, relay, upstream_port):
        got = bench.run_tool("smtpload", "-c", sessions, "-t", bench.pick(1.5, 1), "-s", size, "-w", 2,
                             relay.port)
    bench.add("accept", cell, relay.name, got["rate"])
    bench.say(f"accept {cell}: {relay.name} {got['rate']:.0f}/s, a message takes {got['median_ms']:.1f} ms "
              f"(median), reconnects {got['reconnects']}")


def measure_accept(bench):
    """Only accepting, while the upstream does not listen: the case for which a relay is there. Postfix then
    also writes down why each message is deferred; so, in every other round, a second time with an upstream
    that takes connections and never greets, where it has nothing to write."""
    upstreams = {"stopped": ClosedPort(), "silent": SilentPort()}
    try:
        for number in range(bench.pick(6, 2)):
            for cell, (sessions, size) in CELLS.items():
                raw_once(bench, cell)
                for kind, upstream in upstreams.items():
                    if kind == "stopped" or (number % 2 and not bench.quick):
                        for relay in bench.in_turn(number):
                            accept_once(bench, relay, upstream.port, f"{cell} {kind}", sessions, size)
    finally:
        for upstream in upstreams.values():
            upstream.close()


def measure_through(bench):
    """From the first MAIL at the relay to the last final dot at the upstream, 10 sessions in."""
    messages = bench.pick(2000, 1000)
    for number in range(bench.pick(4, 2)):
        for relay in bench.in_turn(number):
            with Sink(bench) as sink, Running(bench, relay, sink.port):
                sink.expect(100)
                bench.run_tool("smtpload", "-c", 10, "-n", 100, relay.port)
                sink.arrived(60)
                sink.expect(messages)
                got = bench.run_tool("smtpload", "-c", 10, "-n", messages, relay.port)
                end = sink.arrived(120)
            rate = messages / (end["last_ns"] - got["begin_ns"]) * 1e9
            bench.add("through", "4k@10", relay.name, rate)
            bench.say(f"through round {number + 1}: {relay.name} {rate:.0f}/s, "
                      f"accepted at {got['rate']:.0f}/s, upstream connections {end['open_max']} at once, "
                      f"{end['connections']} new")


def load_queue(bench, relay, messages):
    bench.run_tool("smtpload", "-c", 10, "-n", messages, relay.port)
    # all of them must be at rest: a message on its way to being deferred would not be moved by a flush
    wait_until(lambda: relay.waiting() == messages, 120, f"{relay.name} has {messages} messages waiting")


def measure_drain(bench):
    """2,000 messages wait; the upstream becomes reachable, 50 ms away."""
    messages = bench.pick(2000, 600)
    for number in range(bench.pick(2, 1)):
        for relay in bench.in_turn(number):
            closed = ClosedPort()
            with Sink(bench) as sink, Running(bench, relay, closed.port):
                load_queue(bench, relay, messages)
                sink.expect(messages)
                opened_ns = time.monotonic_ns()
                proxy = Talker(bench.tool("delayproxy", "-d", 25, "-f", closed.fileno(), sink.port),
                               pass_fds=(closed.fileno(),))
                try:
                    proxy.answer(10)
                    relay.flush()
                    end = sink.arrived(180)
                finally:
                    proxy.stop()
                    closed.close()
            # the far end sees the first connection one and a half round trips after it was begun
            first_ns = end["connected_ns"] - 75_000_000
            rate = messages / (end["last_ns"] - first_ns) * 1e9
            bench.add("drain", "4k", relay.name, rate)
            bench.add("drain notice", "s", relay.name, (first_ns - opened_ns) / 1e9)
            bench.say(f"drain round {number + 1}: {relay.name} {rate:.0f}/s over {end['open_max']} "
                      f"connections ({end['connections']} in all), the first "
                      f"{(first_ns - opened_ns) / 1e9:.2f} s after it could")


def owner_of_sessions(family, port):
    """pid: number of sessions on `port` whose server end it has open."""
    inodes = set()
    with open("/proc/net/tcp", encoding="ascii") as f:
        for line in list(f)[1:]:
            field = line.split()
            # established, and the local end is the server's
            if field[3] == "01" and int(field[1].split(":")[1], 16) == port:
                inodes.add(f"socket:[{field[9]}]")
    owners = {}
    for pid in family:
        try:
            for fd in os.listdir(f"/proc/{pid}/fd"):
                if os.readlink(f"/proc/{pid}/fd/{fd}") in inodes:
                    owners[pid] = owners.get(pid, 0) + 1
        except OSError:
            continue
    return owners


def smaps(pid):
    """kB by name, from /proc/PID/smaps_rollup."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        return {line.split(":")[0]: int(line.split()[1]) for line in list(f)[1:]}


def measure_memory(bench):
    """Memory of the processes that hold 50 idle sessions, each of which has sent one message."""
    for relay in bench.relays:
        with Sink(bench) as sink, Running(bench, relay, sink.port):
            load = Talker(bench.tool("smtpload", "-c", 50, "-n", 50, "-w", 1, "-k", relay.port))
            try:
                load.answer(60)
                owners = owner_of_sessions(relay.child.family(), relay.port)
                if sum(owners.values()) != 50:
                    raise BenchError(f"{relay.name}: {sum(owners.values())} of 50 sessions found")
                rolls = [smaps(pid) for pid in owners]
            finally:
                load.stop()
        for cell, keys in (("pss", ("Pss",)), ("private", ("Private_Clean", "Private_Dirty")),
                           ("rss", ("Rss",))):
            kb = statistics.median(sum(roll[key] for key in keys) for roll in rolls)
            bench.add("memory", cell, relay.name, kb)
        bench.say(f"memory: {relay.name} {len(owners)} processes, median PSS "
                  f"{bench.results['memory']['pss'][relay.name][-1]:.0f} kB")


def read_times(path):
    with open(path, encoding="ascii") as f:
        return {int(seq): int(ns) for seq, ns in (line.split() for line in f)}


def measure_latency(bench):
    """From the client's 250 to the final dot at the upstream, one message at a time."""
    rounds = bench.pick(4, 2)
    messages = bench.pick(200, 40) // rounds
    sent, came = os.path.join(bench.folder, "sent"), os.path.join(bench.folder, "came")
    for number in range(rounds):
        for relay in bench.in_turn(number):
            with Sink(bench, log=came) as sink, Running(bench, relay, sink.port):
                # three to warm up, in the same session, are not in the client's log
                sink.expect(messages + 3)
                bench.run_tool("smtpload", "-c", 1, "-n", messages, "-w", 3, "-g", 40, "-l", sent, relay.port)
                sink.arrived(60)
            at_sink = read_times(came)
            for seq, ns in read_times(sent).items():
                bench.add("latency", "ms", relay.name, (at_sink[seq] - ns) / 1e6)
            bench.say(f"latency round {number + 1}: {relay.name} median "
                      f"{statistics.median(bench.results['latency']['ms'][relay.name]):.2f} ms so far")


def timed(argv, data=None):
    began = time.monotonic()
    run = subprocess.run(argv, input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    took = time.monotonic() - began
    if run.returncode != 0:
        raise BenchError(f"{' '.join(argv)}: {run.stderr.decode('utf-8', 'replace')[-500:]}")
    return took, run.stdout


def measure_queue(bench):
    """The list of a long queue, as people see it; the best of five, for it is the program that is measured."""
    measure_long_queue(bench, remove=False)


def measure_remove(bench):
    """Half of a long queue is removed: chosen by the tool, or from its list."""
    measure_long_queue(bench, remove=True)


def measure_long_queue(bench, remove):
    messages = bench.pick(20000, 600)
    for number in range(bench.pick(2, 1)):
        for relay in bench.in_turn(number):
            closed = ClosedPort()
            try:
                with Running(bench, relay, closed.port):
                    load_queue(bench, relay, messages)
                    if remove:
                        took = relay.remove_half(timed, messages)
                        wait_until(lambda relay=relay: relay.waiting() == messages - messages // 2, 60,
                                   f"{relay.name} removed half of {messages}")
                    else:
                        took = min(timed(relay.list_command())[0] for _ in range(5))
            finally:
                closed.close()
            done = messages // 2 if remove else messages
            bench.add("remove" if remove else "queue", "n", relay.name, done / took)
            bench.say(f"{'remove' if remove else 'queue'} round {number + 1}: {relay.name} {done / took:.0f}/s")


def make_certificate(folder, kind):
    """A self-signed one, for both relays: (certificate, key)."""
    cert, key = (os.path.join(folder, f"{kind}.{end}") for end in ("pem", "key"))
    if not os.path.exists(cert):
        what = {"ec": ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"], "rsa": ["rsa:2048"]}[kind]
        subprocess.run(["openssl", "req", "-x509", "-newkey", *what, "-nodes", "-days", "30", "-subj", "/CN=bench.example",
                        "-addext", "subjectAltName=DNS:bench.example", "-keyout", key, "-out", cert],
                       check=True, capture_output=True)
    return cert, key


def cpu_seconds(pids):
    """What processes have used so far, with their children that ended."""
    ticks = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
                ticks += sum(map(int, f.read().rpartition(")")[2].split()[11:15]))
        except OSError:
            pass
    return ticks / os.sysconf("SC_CLK_TCK")


def measure_handshakes(bench):
    """A connection, STARTTLS, a handshake, QUIT, again: 8 clients. With the same certificate everywhere. The
    resumed ones begin with one full handshake a client. A client of OpenSSL 3 takes more time for a full
    handshake than the server does (it decodes the certificate), and here it does so on the same CPUs; so there
    are two figures: by the clock, and by the time that the relay's own processes used."""
    upstream = ClosedPort()
    try:
        for number in range(bench.pick(5, 2)):
            for cell in ("ec full", "ec resumed", "rsa full"):
                kind, how = cell.split()
                for relay in bench.in_turn(number):
                    relay.tls = make_certificate(bench.folder, kind)
                    with Running(bench, relay, upstream.port):
                        # a second's clients first: processes are there when it counts
                        bench.run_tool("tlsload", "-c", 8, "-t", 0.5, relay.port)
                        used = cpu_seconds(relay.child.family())
                        got = bench.run_tool("tlsload", "-c", 8, "-t", bench.pick(2, 1),
                                             *(["-r"] if how == "resumed" else []), relay.port)
                        used = cpu_seconds(relay.child.family()) - used
                    relay.tls = None
                    if got["trouble"]:
                        raise BenchError(f"{relay.name}: {got['trouble']} failed handshakes")
                    bench.add("handshakes", cell, relay.name, got["rate"])
                    if used > 0:
                        bench.add("handshakes", f"{cell} cpu", relay.name, (got["full"] + got["resumed"]) / used)
                    bench.say(f"handshakes {cell}: {relay.name} {got['rate']:.0f}/s, {used:.2f} s of CPU for "
                              f"{got['full']} full and {got['resumed']} resumed")
    finally:
        upstream.close()


MEASURES = {
    "raw": measure_raw,
    "accept": measure_accept,
    "through": measure_through,
    "drain": measure_drain,
    "memory": measure_memory,
    "latency": measure_latency,
    "handshakes": measure_handshakes,
    "queue": measure_queue,
    "remove": measure_remove,
}
