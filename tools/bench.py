#!/usr/bin/env python3
"""Builds weft's benchmarks and those of its peers, runs them in turn, and prints the table of bench/targets.json.

Every figure is the median over the rounds. Within a row the programs run one after the other, round by round
(A B C A B C ...), each in a process of its own, so that a noisy machine disturbs all of them alike: compare figures of
one table only. Missed targets are shown and are no failure; a benchmark that fails is.
"""

import argparse
import datetime
import fnmatch
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PEERS_DIR = ROOT / "build" / "peers"
DOCS = ROOT / "docs" / "benchmarks.md"
DOCS_BEGIN, DOCS_END = "<!-- figures: begin -->", "<!-- figures: end -->"
RUN_LIMIT_S = 300  # the slowest row takes some 15 s; beyond this it hangs
UNITS = {"ns_per_op": "ns", "ms": "ms", "release_ms": "ms", "cpu_ms": "ms", "late_ms": "ms", "over_ns": "ns",
         "p50_us": "us", "p99_us": "us", "max_us": "us", "bytes_per_op": "B", "peak_bytes_per_op": "B",
         "maps_lines": "", "threads": "", "hot_bytes_per_op": "B", "hibernated_bytes_per_op": "B",
         "hibernate_ns": "ns", "restore_ns": "ns", "wake_ns": "ns", "wake_hot_ns": "ns"}


class Failed(Exception):
    """A build or a run that went wrong; the text says which and how."""


def call(command, what, **options):
    """Runs a build step, silent unless it fails."""
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, **options)
    if done.returncode != 0:
        raise Failed(f"{what} failed:\n{done.stdout.rstrip()}")
    return done.stdout


def build_weft(build_dir, programs):
    configure = ["cmake", "--preset", "release", "-B", build_dir, "-DWEFT_BUILD_BENCH=ON"]
    call(configure, "configuring weft", cwd=ROOT)
    targets = [f"bench_{p}" for p in programs]
    call(["cmake", "--build", build_dir, "--parallel", os.cpu_count() or 1, "--target", *targets],
         "building weft's benchmarks", cwd=ROOT)


def find_go():
    return shutil.which("go") or next((g for g in ("/usr/local/go/bin/go",) if os.access(g, os.X_OK)), None)


def build_go():
    """Returns (program, version), or (None, why there is none)."""
    go = find_go()
    if go is None:
        return None, "there is no go on PATH"
    program = PEERS_DIR / "go_peer"
    # No toolchain and no module may come from the network.
    env = dict(os.environ, GOTOOLCHAIN="local", GOPROXY="off", GOWORK="off", GOFLAGS="")
    try:
        version = call([go, "version"], "go version", env=env).split()[2]
        call([go, "build", "-o", program, "."], "go build", cwd=ROOT / "bench" / "peers" / "go", env=env)
    except Failed as failure:
        return None, str(failure)
    return program, version.replace("go", "Go ")


def build_threads():
    program = PEERS_DIR / "threads_peer"
    compiler = os.environ.get("CXX", "c++")
    call([compiler, "-std=c++20", "-O2", "-pthread", ROOT / "bench" / "peers" / "threads" / "threads.cpp", "-o",
          program], "building the threads peer")
    return program


def run(program, name, procs, min_time_ms):
    """One process, one measurement; returns its JSON line."""
    command = [str(program), "--json", "--procs", str(procs), "--min-time-ms", str(min_time_ms), name]
    env = dict(os.environ, GOMAXPROCS=str(procs), WEFT_PROCS=str(procs))
    shown = " ".join(command)
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=RUN_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        raise Failed(f"{shown}: not over after {RUN_LIMIT_S} s") from None
    except OSError as error:
        raise Failed(f"{shown}: {error.strerror}") from None
    if done.returncode != 0:
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit status {done.returncode}"
        raise Failed(f"{shown}: {how}\n{done.stderr[-2000:].rstrip()}")
    try:
        line = json.loads(done.stdout)
    except json.JSONDecodeError as error:
        raise Failed(f"{shown}: no JSON line: {error}") from None
    return line


class Measurements:
    """The results of every (side, case, procs), each measured once a round however many rows show it."""

    def __init__(self, rounds, min_time_ms):
        self.rounds = rounds
        self.min_time_ms = min_time_ms
        self.lines = {}
        self.failures = []

    def measure(self, row, programs):
        wanted = [(side, case, row["procs"]) for side, case in cases_of(row).items()
                  if side in programs and (side, case, row["procs"]) not in self.lines]
        for key in wanted:
            self.lines[key] = []
        for done in range(self.rounds):
            for key in list(wanted):
                side, case, procs = key
                program = programs[side][row["program"]] if side == "weft" else programs[side]
                progress(f"{side} {case}, {procs} P, round {done + 1} of {self.rounds}")
                try:
                    self.lines[key].append(run(program, case, procs, self.min_time_ms))
                except Failed as failure:
                    progress("")
                    print(f"FAILED {failure}", file=sys.stderr)
                    self.failures.append(str(failure))
                    wanted.remove(key)
        progress("")

    def samples(self, side, case, procs, metric):
        """The metric's values over the rounds; None when one is missing."""
        lines = self.lines.get((side, case, procs), [])
        if len(lines) < self.rounds or any(metric not in line for line in lines):
            return None
        return [line[metric] for line in lines]


def cases_of(row):
    """The case's name by side, weft first."""
    weft = {} if row["name"] is None else {"weft": row["name"]}
    return {**weft, **row["peers"]}


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr, flush=True)


def show(value, unit):
    if value >= 10_000:
        text = f"{value:,.0f}"
    elif value >= 100:
        text = f"{value:.0f}"
    else:
        text = f"{value:.1f}" if unit else f"{value:.0f}"
    return f"{text} {unit}".rstrip()


def judge(row, value, go_ratio):
    """Whether the row's target is met: at most `target`, and at least `times` better than Go where that is asked."""
    if "target" not in row:
        return ""
    if value is None:
        return "not measured"
    value_met = value <= row["target"]
    if "times" not in row:
        return "yes" if value_met else "NO"
    if go_ratio is None:
        return ("yes" if value_met else "NO") + ", ratio unknown"
    ratio_met = go_ratio >= row["times"]
    if value_met == ratio_met:
        return "yes" if value_met else "NO"
    return "value only" if value_met else "ratio only"


def evaluate(rows, measurements):
    """For each row the medians, spreads and ratios."""
    out = []
    for row in rows:
        unit = UNITS.get(row["metric"], row["metric"])
        sides = {}
        for side, case in cases_of(row).items():
            samples = measurements.samples(side, case, row["procs"], row["metric"])
            if samples is None:
                continue
            median = statistics.median(samples)
            sides[side] = {
                "median": median,
                "spread_percent": 50 * (max(samples) - min(samples)) / median if median else 0.0,
                "samples": samples,
                "notes": sorted({line["note"] for line in measurements.lines[side, case, row["procs"]]
                                 if line.get("note")}),
            }
        weft = sides["weft"]["median"] if "weft" in sides else None
        ratios = {side: figures["median"] / weft for side, figures in sides.items() if side != "weft" and weft}
        out.append({**row, "unit": unit, "sides": sides, "ratios": ratios,
                    "met": judge(row, weft, ratios.get("go"))})
    return out


def table(evaluated, sides):
    """The result as a Markdown table whose columns line up."""
    peers = [side for side in sides if side != "weft"]
    titles = {"go": "Go", "threads": "threads"}
    head = ["work", "P", "weft"]
    for peer in peers:
        head += [titles[peer], f"{titles[peer]} / weft"]
    head += ["target", "met"]
    lines = [head]
    for row in evaluated:
        def cell(side, row=row):
            if side not in row["sides"]:
                return "-" if side not in cases_of(row) else "failed"
            figures = row["sides"][side]
            spread = f" ±{figures['spread_percent']:.0f}%" if len(figures["samples"]) > 1 else ""
            return show(figures["median"], row["unit"]) + spread

        line = [row["work"], str(row["procs"]), cell("weft")]
        for peer in peers:
            ratio = row["ratios"].get(peer)
            line += [cell(peer), "" if ratio is None else f"{ratio:.1f}x"]
        target = "" if "target" not in row else "<= " + show(row["target"], row["unit"])
        if "times" in row:
            target += f", {row['times']}x Go"
        lines.append(line + [target, row["met"]])
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    text = ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths)) + " |" for line in lines]
    text.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    notes = sorted({f"{side}, {row['work']}: {note}" for row in evaluated for side, figures in row["sides"].items()
                    for note in figures["notes"]})
    return "\n".join(text + ([""] + [f"- {note}" for note in notes] if notes else []))


def machine(go_version):
    """What the figures were measured on and with."""
    cpu = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
                if line.startswith("model name")), platform.machine())
    memory_kib = next(int(line.split()[1]) for line in open("/proc/meminfo", encoding="utf-8")
                      if line.startswith("MemTotal"))
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": cpu,
        "cpus": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory_kib / 2**20, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "go": go_version,
        "load_before": os.getloadavg()[0],
    }


def heading(info, rounds):
    how = f"median of {rounds} rounds ± half the range" if rounds > 1 else "one round"
    return (f"{info['cpu']}, {info['cpus']} CPUs, {info['memory_gib']} GiB, {info['kernel']}; {info['go']}; {how}; "
            f"{info['date']}")


def write_docs(text, begin=DOCS_BEGIN, end=DOCS_END):
    page = DOCS.read_text(encoding="utf-8")
    before, found_begin, rest = page.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise Failed(f"{DOCS} has no {begin} ... {end}")
    DOCS.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, help="measurements of each figure (default 5)")
    parser.add_argument("--filter", action="append", default=[], metavar="NAME",
                        help="only rows with this in their case's name or in their description, or a shell pattern of "
                        "the name; may be repeated")
    parser.add_argument("--quick", action="store_true", help="one round of short runs: does it work, about how fast")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write everything measured to FILE")
    parser.add_argument("--update-docs", action="store_true", help="put the table into docs/benchmarks.md")
    parser.add_argument("--without", action="append", default=[], choices=["go", "threads"], metavar="PEER",
                        help="leave out a peer: go or threads")
    parser.add_argument("--list", action="store_true", help="print the rows and exit")
    parser.add_argument("--no-build", action="store_true", help="use the programs that were built last")
    parser.add_argument("--build-dir", type=pathlib.Path, default=ROOT / "build" / "release",
                        help="weft's build tree (default build/release)")
    args = parser.parse_args()
    if args.rounds is None:
        args.rounds = 1 if args.quick else 5
    if args.rounds < 1:
        parser.error("--rounds must be at least 1")
    return args


def select(rows, filters):
    def wanted(row):
        names = list(cases_of(row).values())
        return any(f in row["work"] or any(f in n or fnmatch.fnmatch(n, f) for n in names) for f in filters)

    return [row for row in rows if not filters or wanted(row)]


def prepare(args, rows):
    """Builds what the rows need: (programs by side, Go's version, what is missing and why)."""
    programs, missing, go_version = {}, [], "no Go"
    PEERS_DIR.mkdir(parents=True, exist_ok=True)
    names = sorted({row["program"] for row in rows if row["program"]})
    if names:
        if not args.no_build:
            progress("building weft's benchmarks")
            build_weft(args.build_dir.resolve(), names)
        programs["weft"] = {name: args.build_dir.resolve() / "bench" / name for name in names}
    if "go" in args.without:
        missing.append("go: left out by --without")
    else:
        program, version = build_go()
        if program is None:
            missing.append(f"go: {version}")
        else:
            programs["go"], go_version = program, version
    if "threads" in args.without:
        missing.append("threads: left out by --without")
    else:
        programs["threads"] = build_threads()
    progress("")
    return programs, go_version, missing


def main():
    args = arguments()
    rows = select(json.loads((ROOT / "bench" / "targets.json").read_text(encoding="utf-8"))["rows"], args.filter)
    if not rows:
        print("no row matches", file=sys.stderr)
        return 2
    if args.list:
        for row in rows:
            print(f"{row['name'] or '-':26} {row['procs']} P  {row['metric']:18} {row['work']}")
        return 0
    try:
        programs, go_version, missing = prepare(args, rows)
        info = machine(go_version)
        if info["load_before"] > 0.5:
            print(f"The machine is not idle (load {info['load_before']:.1f}): the figures will be noisy.",
                  file=sys.stderr)
        measurements = Measurements(args.rounds, 50 if args.quick else 300)
        for row in rows:
            if row["procs"] > info["cpus"]:
                missing.append(f"{row['work']}: needs {row['procs']} CPUs")
                continue
            measurements.measure(row, programs)
        evaluated = evaluate([row for row in rows if row["procs"] <= info["cpus"]], measurements)
        text = heading(info, args.rounds) + "\n\n" + table(evaluated, list(programs))
        if missing:
            text += "\n\n" + "\n".join(f"MISSING {m}" for m in missing)
        print(text)
        if args.json:
            args.json.write_text(json.dumps({"machine": info, "rounds": args.rounds, "rows": evaluated,
                                             "missing": missing, "failures": measurements.failures}, indent=2) + "\n",
                                 encoding="utf-8")
        if args.update_docs and not measurements.failures:
            write_docs(text)
    except Failed as failure:
        progress("")
        print(failure, file=sys.stderr)
        return 1
    if measurements.failures:
        print(f"{len(measurements.failures)} benchmark run(s) failed", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
