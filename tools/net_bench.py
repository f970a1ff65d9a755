#!/usr/bin/env python3
"""Runs weft's HTTP servers and their peers, one after the other, each on one core with the client, wrk, on another, and
prints requests a second and latencies.

Within a row the servers take turns, round by round; every figure is the median over the rounds. Compare figures of one
table only. What is not installed is named as missing.
"""

import argparse
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys

import bench

ROOT = bench.ROOT
SCRIPT = """done = function(s, l, r)
  io.write(string.format("RESULT %.1f %d %d %d %d\\n", s.requests / (s.duration / 1e6), l:percentile(50),
    l:percentile(99), l:percentile(99.9), s.errors.connect + s.errors.read + s.errors.write + s.errors.status))
end"""


class Missing(Exception):
    """A server that can't be had here; the text says why."""


def build(build_dir):
    """The servers by name: a command, or why there is none."""
    bench.call(["cmake", "--preset", "release", "-B", build_dir, "-DWEFT_BUILD_BENCH=ON"], "configuring weft", cwd=ROOT)
    servers = {}
    for name in ("http_raw", "http_beast"):
        try:
            bench.call(["cmake", "--build", build_dir, "--parallel", os.cpu_count() or 1, "--target",
                        f"bench_net_{name}"], f"building {name}", cwd=ROOT)
            servers[f"weft {name}"] = [str(build_dir / "bench" / "net" / name)]
        except bench.Failed as failure:
            servers[f"weft {name}"] = Missing(str(failure).splitlines()[0])
    bench.PEERS_DIR.mkdir(parents=True, exist_ok=True)
    go, version = bench.build_go()
    for kind in ("raw", "http"):
        servers[f"Go {kind}"] = [str(go), "--serve", kind] if go else Missing(version)
    return servers


def start(command, core):
    """A server on one core; (process, port)."""
    env = dict(os.environ, GOMAXPROCS="1", WEFT_PROCS="1")
    process = subprocess.Popen(["taskset", "-c", str(core), *command], stdout=subprocess.PIPE, text=True, env=env)
    found = re.search(r":(\d+)\s*$", process.stdout.readline())
    if found is None:
        process.kill()
        process.communicate()
        raise bench.Failed(f"{' '.join(command)}: does not say where it listens")
    return process, int(found[1])


def load(port, connections, seconds, core, script):
    """What wrk has seen: requests/s, p50, p99, p999 in us, errors."""
    done = subprocess.run(["taskset", "-c", str(core), "wrk", "-t1", f"-c{connections}", f"-d{seconds}", "-s", script,
                           f"http://127.0.0.1:{port}/"], capture_output=True, text=True, timeout=seconds + 60,
                          check=False)
    found = re.search(r"^RESULT (\S+) (\d+) (\d+) (\d+) (\d+)$", done.stdout, re.MULTILINE)
    if done.returncode != 0 or found is None:
        raise bench.Failed(f"wrk: {done.stdout}{done.stderr}")
    return [float(word) for word in found.groups()]


def measure(servers, connections, arguments, cores, script):
    """Prints a row for each server."""
    results = {name: [] for name in servers}
    for _ in range(arguments.rounds):
        for name, command in servers.items():
            if isinstance(command, Missing):
                continue
            process, port = start(command, cores[0])
            try:
                load(port, connections, 1, cores[1], script)  # warm
                results[name].append(load(port, connections, arguments.seconds, cores[1], script))
            finally:
                process.kill()
                process.communicate()
    for name, command in servers.items():
        if isinstance(command, Missing):
            print(f"{name:20} {connections:6}  missing: {command}")
            continue
        rate, p50, p99, p999, errors = (statistics.median(column) for column in zip(*results[name]))
        print(f"{name:20} {connections:6} {rate:10.0f} {p50 / 1000:9.2f} {p99 / 1000:9.2f} {p999 / 1000:9.2f} "
              f"{errors:7.0f}")


def main(words):
    parser = argparse.ArgumentParser(prog="./dev bench --net", description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--connections", default="1,64,1000", help="numbers of connections (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--only", default="", help="servers whose names contain this")
    parser.add_argument("--build-dir", type=pathlib.Path, default=ROOT / "build" / "release")
    arguments = parser.parse_args(words)
    for tool in ("wrk", "taskset"):
        if shutil.which(tool) is None:
            print(f"missing: {tool} (Debian: {'wrk' if tool == 'wrk' else 'util-linux'})", file=sys.stderr)
            return 1
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        print("missing: a second core for the client", file=sys.stderr)
        return 1
    servers = {name: command for name, command in build(arguments.build_dir).items() if arguments.only in name}
    script = bench.PEERS_DIR / "wrk.lua"
    script.write_text(SCRIPT, encoding="utf-8")
    print(f"{'server':20} {'conns':>6} {'req/s':>10} {'p50 ms':>9} {'p99 ms':>9} {'p999 ms':>9} {'errors':>7}")
    for connections in arguments.connections.split(","):
        measure(servers, int(connections), arguments, cores, script)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except bench.Failed as failure:
        print(f"FAILED {failure}", file=sys.stderr)
        sys.exit(1)
