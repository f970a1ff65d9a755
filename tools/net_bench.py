#!/usr/bin/env python3
"""Runs weft's servers and their peers, each on one core with the client on another, and prints what the client saw.

Kinds of work: http (hello, under wrk), raw (the same without wrk, of the servers that do nothing else: wrk needs more
for a request than they do), echo (64 bytes there and back), accept (a connection, a request, reset), idle (memory of the
server for a connection that has been used once) and ping-pong (round trips between two goroutines beside a server under
full load).

Within a row all servers run, and take turns to be asked, round by round, in short slices: a machine's neighbours change
its speed by a third within seconds. Every figure is the median over the rounds, and a ratio is the median of the
rounds' ratios. What is not installed is named as missing. The CPU time is the server's for each request, its
connections' making included.
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import time

import bench

ROOT = bench.ROOT
WORKS = ("http", "raw", "echo", "accept", "idle", "ping-pong")
DOCS_BEGIN, DOCS_END = "<!-- net figures: begin -->", "<!-- net figures: end -->"
SPARE_DESCRIPTORS = 200  # of a server or a client, beside its connections
SCRIPT = """done = function(s, l, r)
  io.write(string.format("RESULT %.1f %d %d %d %d\\n", s.requests / (s.duration / 1e6), l:percentile(50),
    l:percentile(99), l:percentile(99.9), s.errors.connect + s.errors.read + s.errors.write + s.errors.status))
end"""
NGINX = """worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log stderr emerg;
events {{ worker_connections 65536; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 3600s;
  default_type text/plain;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 "Hello, World!\\n"; }} }}
}}
"""
HTTP = (r"GET / HTTP/1.1\r\nHost: x\r\n\r\n", r"Hello, World!\n")
ECHO = ("x" * 63 + r"\n", r"\n")
# Which of ours is beside which of theirs, in which work, and how many times faster it shall be at 64 and 1,000
# connections, with a p99 no worse.
GOALS = (("http", "weft beast", "Go net/http", 1.5), ("http", "weft raw", "Go raw", 1.3),
         ("raw", "weft raw", "Go raw", 1.3), ("echo", "weft echo", "tokio echo", 1.0))
GOAL_CONNECTIONS = (64, 1_000)
# Measured with a server that is started for it, in fewer rounds.
ONCE, ONCE_ROUNDS = ("idle", "ping-pong"), 3


class Missing(Exception):
    """A server that can't be had here; the text says why."""


class Server:
    """How to start one; `kinds` says what it is measured with."""

    def __init__(self, name, kinds, command):
        self.name, self.kinds, self.command = name, kinds, command

    def start(self, core):
        """(process, port): it has said where it listens."""
        command = ["taskset", "-c", str(core), *self.command]
        env = dict(os.environ, GOMAXPROCS="1", WEFT_PROCS="1")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
        found = re.search(r":(\d+)\s*$", process.stdout.readline())
        if found is None:
            end(process)
            raise bench.Failed(f"{' '.join(command)}: does not say where it listens")
        return process, int(found[1])


class Nginx(Server):
    def start(self, core):
        folder = bench.PEERS_DIR / "nginx"
        folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        config = folder / "nginx.conf"
        config.write_text(NGINX.format(folder=folder, port=port), encoding="utf-8")
        process = subprocess.Popen(["taskset", "-c", str(core), self.command[0], "-e", "stderr", "-p", folder, "-c",
                                    config], stdout=subprocess.PIPE, text=True)
        for _ in range(500):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.01):
                return process, port
            if process.poll() is not None:
                break
        end(process)
        raise bench.Failed("nginx does not start")


def end(process):
    """Ends a server; nginx's master then ends its worker."""
    process.terminate()
    try:
        return process.communicate(timeout=5)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()[0]


@contextlib.contextmanager
def running(server, core):
    process, port = server.start(core)
    try:
        yield process, port
    finally:
        end(process)


def find_cargo():
    return shutil.which("cargo") or next(
        (str(c) for c in (pathlib.Path.home() / ".cargo" / "bin" / "cargo",) if os.access(c, os.X_OK)), None)


def build_tokio():
    """The program, or why there is none. Its crates are those of Cargo.lock; cargo fetches them the first time."""
    cargo = find_cargo()
    if cargo is None:
        return Missing("there is no cargo on PATH")
    target = bench.PEERS_DIR / "tokio"
    try:
        bench.call([cargo, "build", "--release", "--locked", "--target-dir", target], "cargo build",
                   cwd=ROOT / "bench" / "peers" / "tokio")
    except bench.Failed as failure:
        return Missing(str(failure).splitlines()[-1])
    return target / "release" / "tokio_peer"


def find_nginx():
    return shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin") or Missing("no nginx (Debian: nginx)")


def build_cxx(name, source):
    """A program that knows nothing of weft."""
    program = bench.PEERS_DIR / name
    bench.call([os.environ.get("CXX", "c++"), "-std=c++20", "-O2", ROOT / "bench" / source, "-o", program],
               f"building {name}")
    return program


def build_weft(build_dir, target):
    try:
        bench.call(["cmake", "--build", build_dir, "--parallel", os.cpu_count() or 1, "--target", target],
                   f"building {target}", cwd=ROOT)
    except bench.Failed as failure:
        return Missing(str(failure).splitlines()[0])
    return None


def build(build_dir):
    """All servers; the command of one that can't be had is a Missing."""
    bench.call(["cmake", "--preset", "release", "-B", build_dir, "-DWEFT_BUILD_BENCH=ON"], "configuring weft", cwd=ROOT)
    bench.PEERS_DIR.mkdir(parents=True, exist_ok=True)
    net = build_dir / "bench" / "net"

    def ours(target, *command):
        return build_weft(build_dir, target) or [str(c) for c in command]

    bare = build_cxx("bare_peer", "peers/bare/server.cpp")
    go, version = bench.build_go()
    tokio = build_tokio()
    nginx = find_nginx()

    def theirs(program, *words):
        return program if isinstance(program, Missing) else [str(program), *words]

    go = go or Missing(version)
    return [
        Server("weft beast", ("http", "idle"), ours("bench_net_http_beast", net / "http_beast")),
        Server("Go net/http", ("http", "idle"), theirs(go, "--serve", "http")),
        Nginx("nginx", ("http", "idle"), theirs(nginx)),
        Server("weft raw", ("http", "raw", "accept", "idle"), ours("bench_net_http_raw", net / "http_raw")),
        Server("Go raw", ("http", "raw", "accept", "idle"), theirs(go, "--serve", "raw")),
        Server("tokio raw", ("http", "raw", "accept", "idle"), theirs(tokio, "--serve", "raw")),
        Server("bare raw", ("http", "raw", "accept", "idle"), theirs(bare, "raw")),
        Server("weft echo", ("echo", "idle"), ours("example_echo", build_dir / "examples" / "echo", "127.0.0.1:0")),
        Server("Go echo", ("echo", "idle"), theirs(go, "--serve", "echo")),
        Server("tokio echo", ("echo", "idle"), theirs(tokio, "--serve", "echo")),
        Server("bare echo", ("echo", "idle"), theirs(bare, "echo")),
        Server("weft raw", ("ping-pong",), ours("bench_net_http_raw", net / "http_raw", "--ping-pong")),
        Server("Go raw", ("ping-pong",), theirs(go, "--serve", "ping-pong")),
    ]


class Bench:
    def __init__(self, arguments, cores, load):
        self.rounds, self.seconds, self.cores, self.load = arguments.rounds, arguments.seconds, cores, str(load)
        self.script = bench.PEERS_DIR / "wrk.lua"
        self.script.write_text(SCRIPT, encoding="utf-8")

    def client(self, process, command, seconds):
        """The figures of a client's RESULT line: rate, p50, p99, p999 in us, errors; then those of with_cpu()."""
        return with_cpu(process, seconds, lambda: self.result(command, seconds))

    def result(self, command, seconds):
        done = subprocess.run(["taskset", "-c", str(self.cores[1]), *map(str, command)], capture_output=True, text=True,
                              timeout=seconds + 60, check=False)
        found = re.search(r"^RESULT (\S+) (\d+) (\d+) (\d+) (\d+)$", done.stdout, re.MULTILINE)
        if done.returncode != 0 or found is None:
            raise bench.Failed(f"{command[0]}: {done.stdout}{done.stderr}")
        return [float(word) for word in found.groups()]

    def wrk(self, process, port, connections, seconds):
        seconds = max(seconds, connections // 2_000)  # it spends the first ones on connecting
        return self.client(process, ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--timeout", "30", "-s",
                                     self.script, f"http://127.0.0.1:{port}/"], seconds)

    def talk(self, process, how, port, connections, seconds, words):
        return self.client(process, [self.load, how, port, connections, seconds, *words], seconds)

    def ask(self, work, process, port, connections):
        """One slice of a kind of work that has many: its figures."""
        if work == "http":
            return self.wrk(process, port, connections, self.seconds)
        words = ECHO if work == "echo" else HTTP
        return self.talk(process, "accept" if work == "accept" else "talk", port, connections, self.seconds, words)

    def once(self, work, server, connections):
        """One measurement of a server that is started for it: its figures."""
        with running(server, self.cores[0]) as (process, port):
            if work == "idle":
                return [self.idle(process, port, connections, ECHO if "echo" in server.name else HTTP)]
            return self.beside(process, port, connections)

    def idle(self, process, port, connections, words):
        """By how much the server's resident memory grows, page tables included, bytes a connection."""
        # Whatever is allocated once for all.
        self.talk(process, "talk", port, 16, 1, words)
        before = resident(process.pid)
        client = subprocess.Popen([self.load, "idle", str(port), str(connections), "0", *words], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        try:
            if client.stdout.readline() != f"holding {connections}\n":
                raise bench.Failed(f"load: holds no {connections} connections")
            return (resident(process.pid) - before) / connections
        finally:
            client.communicate()

    def beside(self, process, port, connections):
        """Of the ping-pong's lines of each second: round trips, and the longest in us; and the server's rate."""
        rate = self.wrk(process, port, connections, max(self.seconds, 5))[0]
        lines = re.findall(r"^ping-pong (\d+) (\d+)$", end(process), re.MULTILINE)
        if len(lines) < 3:
            raise bench.Failed("the ping-pong stands still beside the server")
        # The first and the last second may have been without load.
        trips, longest = zip(*[map(int, line) for line in lines[1:-1]])
        return [statistics.median(trips), max(longest), rate]

    def row(self, work, servers, connections):
        """The figures of each round by server."""
        samples = {s.name: [] for s in servers}
        if work in ONCE:
            for s in servers * min(self.rounds, ONCE_ROUNDS):
                samples[s.name].append(self.once(work, s, connections))
            return samples
        with contextlib.ExitStack() as all_of_them:
            started = [(s, *all_of_them.enter_context(running(s, self.cores[0]))) for s in servers]
            for _, process, port in started:
                self.ask(work, process, port, connections)  # warm
            for r in range(self.rounds):
                for s, process, port in started if r % 2 == 0 else reversed(started):
                    samples[s.name].append(self.ask(work, process, port, connections))
        return samples


def medians(rounds):
    """Of each figure, over the rounds."""
    return [statistics.median(column) for column in zip(*rounds)]


def cpu(pid):
    """CPU time of a process and its children so far, in user space and in the kernel, s: exact in sum, its parts as the
    clock's ticks have met them."""
    words = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    user, kernel = int(words[11]), int(words[12])
    total = time.clock_gettime((~pid << 3) | 2)  # clock_getcpuclockid(3), which Python has for threads alone
    share = user / max(user + kernel, 1)
    times = [(total * share, total * (1 - share)), *map(cpu, children(pid))]
    return [sum(column) for column in zip(*times)]


def with_cpu(process, seconds, load):
    """The figures of `load()`, which begin with requests a second and take `seconds`; behind them the CPU time of the
    server for each request, us: user, kernel."""
    before = cpu(process.pid)
    figures = load()
    requests = max(figures[0] * seconds, 1)
    return figures + [(now - then) / requests * 1e6 for now, then in zip(cpu(process.pid), before)]


def resident(pid):
    """Resident memory and page tables of a process and its children, bytes."""
    total = 0
    for line in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(("VmRSS:", "VmPTE:")):
            total += int(line.split()[1]) * 1024
    return total + sum(resident(child) for child in children(pid))


def children(pid):
    return [int(word) for word in
            pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()]


LOADED = ("p50 ms", "p99 ms", "p999 ms", "errors", "user us", "kernel us")
HEADS = {
    "http": ("HTTP hello", ["requests/s", *LOADED]),
    "raw": ("HTTP hello without wrk", ["requests/s", *LOADED]),
    "echo": ("Echo, 64 bytes", ["round trips/s", *LOADED]),
    "accept": ("Connections: made, asked once, reset", ["connections/s", *LOADED]),
    "idle": ("Memory of the server for an idle connection", ["bytes"]),
    "ping-pong": ("Two goroutines beside a raw server under full load",
                  ["round trips/s", "longest us", "requests/s"]),
}


def cells(work, figures):
    if work in ("idle", "ping-pong"):
        return [f"{f:,.0f}" for f in figures]
    rate, p50, p99, p999, errors, *times = figures
    return [f"{rate:,.0f}", *(f"{q / 1000:.2f}" for q in (p50, p99, p999)), f"{errors:.0f}",
            *(f"{t:.2f}" for t in times)]


def table(work, results, missing):
    """Markdown. `results`: the rounds' figures by connections and server."""
    title, heads = HEADS[work]
    lines = [["server", "connections", *heads]]
    for connections, row in results.items():
        lines += [[name, f"{connections:,}", *cells(work, medians(rounds))] for name, rounds in row.items()]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = ["| " + " | ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths))) + " |"
            for line in lines]
    text.insert(1, "|" + "|".join("-" * (w + 1) + (":" if i else "-") for i, w in enumerate(widths)) + "|")
    return "\n".join([f"**{title}**", "", *text, *(f"\nMISSING {m}" for m in missing)])


def verdicts(work, results):
    """A line for each goal of this work."""
    out = []
    for goal_work, ours, theirs, times in GOALS:
        for connections in GOAL_CONNECTIONS:
            row = results.get(connections, {})
            if work != goal_work or ours not in row or theirs not in row:
                continue
            pairs = list(zip(row[ours], row[theirs]))
            ratio = statistics.median(a[0] / b[0] for a, b in pairs)
            late = statistics.median(a[2] / b[2] for a, b in pairs) > 1
            met = "yes" if ratio >= times and not late else "NO" + (", p99 is worse" if late else "")
            less = statistics.median(sum(b[5:]) / sum(a[5:]) for a, b in pairs)
            out.append(f"{ours} / {theirs} at {connections:,}: {ratio:.2f} (>= {times}): {met}; "
                       f"by CPU time for a request {less:.2f}")
    return out


def connections_of(work, arguments, limit):
    """How many connections to measure a kind of work with, as far as the limit of descriptors allows."""
    given = [int(n) for n in arguments.connections.split(",")] if arguments.connections else None
    wanted = given or {"http": [1, 64, 1_000, 10_000], "raw": [64, 1_000], "echo": [1, 64, 1_000, 10_000],
                       "accept": [64], "idle": [20_000], "ping-pong": [64]}[work]
    return sorted({min(n, limit - SPARE_DESCRIPTORS) for n in wanted})


def parse(words):
    parser = argparse.ArgumentParser(prog="./dev bench --net", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", default=",".join(WORKS), help="kinds of work (default: %(default)s)")
    parser.add_argument("--connections", help="numbers of connections, instead of each work's own")
    parser.add_argument("--seconds", type=int, help="of each measurement (default: 1)")
    parser.add_argument("--rounds", type=int, help=f"(default: 9; {', '.join(ONCE)}: {ONCE_ROUNDS} at the most)")
    parser.add_argument("--quick", action="store_true", help="one round of one second")
    parser.add_argument("--only", default="", help="servers whose names contain this")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the figures to FILE")
    parser.add_argument("--update-docs", action="store_true", help="put the tables into docs/benchmarks.md")
    parser.add_argument("--build-dir", type=pathlib.Path, default=ROOT / "build" / "release")
    arguments = parser.parse_args(words)
    arguments.work = arguments.work.split(",")
    if unknown := set(arguments.work) - set(WORKS):
        parser.error(f"--work: no {', '.join(sorted(unknown))}; there are {', '.join(WORKS)}")
    arguments.seconds = arguments.seconds or 1
    arguments.rounds = arguments.rounds or (1 if arguments.quick else 9)
    return arguments


def main(words):
    arguments = parse(words)
    for tool in ("wrk", "taskset"):
        if shutil.which(tool) is None:
            print(f"missing: {tool} (Debian: {'wrk' if tool == 'wrk' else 'util-linux'})", file=sys.stderr)
            return 1
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        print("missing: a second core for the client", file=sys.stderr)
        return 1
    # Inherited by servers and clients.
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    servers = [s for s in build(arguments.build_dir) if arguments.only in s.name]
    runs = Bench(arguments, cores, build_cxx("load", "net/client/load.cpp"))
    texts, figures = [], {}
    for work in arguments.work:
        measured = [s for s in servers if work in s.kinds]
        missing = [f"{s.name}: {s.command}" for s in measured if isinstance(s.command, Missing)]
        there = [s for s in measured if not isinstance(s.command, Missing)]
        if not there:
            continue
        results = {n: runs.row(work, there, n) for n in connections_of(work, arguments, limit)}
        figures[work] = results
        text = "\n".join([table(work, results, missing), "", *(f"- {line}" for line in verdicts(work, results))]).rstrip()
        print(text + "\n", flush=True)
        texts.append(text)
    go = bench.find_go()
    version = bench.call([go, "version"], "go version").split()[2].replace("go", "Go ") if go else "no Go"
    info = bench.machine(version)
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": info, "rounds": arguments.rounds, "figures": figures},
                                             indent=2) + "\n", encoding="utf-8")
    if arguments.update_docs:
        bench.write_docs("\n\n".join([bench.heading(info, arguments.rounds), *texts]), DOCS_BEGIN, DOCS_END)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except bench.Failed as failure:
        print(f"FAILED {failure}", file=sys.stderr)
        sys.exit(1)
