#!/usr/bin/env python3
"""Counts the instructions of weft's hot paths with valgrind's callgrind and compares them with bench/icount.json.

A count does not depend on how busy the machine is, so it can fail a build where a time can't. --check fails when a path
takes more instructions than recorded, by more than a margin (10 %, at least 2 instructions), and asks for --update when
it takes fewer by more than the margin. Counts are kept per compiler and architecture.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
RECORD = ROOT / "bench" / "icount.json"
SOURCE = ROOT / "bench" / "icount" / "paths.cpp"
PATHS = ["yield", "park_ready", "go_finish", "wait_group_go_wait", "async_get", "mutex_lock_unlock",
         "wait_group_add_done", "chan_buffered", "chan_round_trip", "select_ready", "select_default", "timer_reset",
         "timer_start_stop"]
# Few enough that a run under valgrind stays below the 10 ms after which sysmon takes the P from a goroutine that does
# not enter the runtime.
LESS, MORE = 200, 1200
MARGIN_PART, MARGIN_LEAST = 0.10, 2.0
RUN_LIMIT_S = 60


class Failed(Exception):
    """The counts can't be had; the text says why."""


def call(command, what, **options):
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, **options)
    if done.returncode != 0:
        raise Failed(f"{what} failed:\n{done.stdout.rstrip()}")
    return done.stdout


def cache_entry(build_dir, name):
    cache = (build_dir / "CMakeCache.txt").read_text(encoding="utf-8")
    found = re.search(rf"^{name}:[A-Z]+=(.*)$", cache, re.MULTILINE)
    if not found:
        raise Failed(f"{build_dir}/CMakeCache.txt has no {name}")
    return found.group(1)


def build(build_dir):
    """Builds the library and the program with the build tree's compiler and flags: (program, compiler)."""
    if not (build_dir / "CMakeCache.txt").exists():
        call(["cmake", "--preset", "release", "-B", build_dir], "configuring weft", cwd=ROOT)
    call(["cmake", "--build", build_dir, "--parallel", os.cpu_count() or 1, "--target", "weft"], "building weft")
    libraries = sorted(build_dir.rglob("libweft.a"))
    if len(libraries) != 1:
        raise Failed(f"{build_dir} should have one libweft.a, not {len(libraries)}")
    compiler = cache_entry(build_dir, "CMAKE_CXX_COMPILER")
    kind = cache_entry(build_dir, "CMAKE_BUILD_TYPE").upper()
    flags = f"{cache_entry(build_dir, 'CMAKE_CXX_FLAGS')} {cache_entry(build_dir, f'CMAKE_CXX_FLAGS_{kind}')}".split()
    program = build_dir / "icount_paths"
    # Without debugging information, which counting does not need: valgrind 3.19 gives up over Clang's DWARF.
    call([compiler, "-std=c++20", *flags, f"-I{ROOT / 'include'}", SOURCE, libraries[0], "-pthread",
          "-Wl,--strip-debug", "-o", program], f"building {SOURCE.relative_to(ROOT)}")
    return program, compiler


def compiler_key(compiler):
    """For example gcc-12-x86_64."""
    text = call([compiler, "--version"], f"{compiler} --version")
    family = "clang" if "clang" in text else "gcc"
    major = call([compiler, "-dumpversion"], f"{compiler} -dumpversion").strip().split(".")[0]
    return f"{family}-{major}-{platform.machine()}"


def totals(text):
    """The instruction count of a callgrind output file."""
    found = re.search(r"^(?:totals|summary): (\d+)", text, re.MULTILINE)
    if not found:
        raise Failed("callgrind's output has no totals")
    return int(found.group(1))


def by_function(text):
    """Instructions by function of a callgrind output file, callees' not counted."""
    names, counts, current, inclusive = {}, collections.Counter(), None, False
    for line in text.splitlines():
        if named := re.match(r"c?fn=\((\d+)\)(?: (.*))?$", line):
            if named[2]:  # a number's name stands at its first use only
                names[named[1]] = named[2]
            if line.startswith("fn="):
                current = named[1]
        elif line.startswith("calls="):
            inclusive = True  # the next line's count is the callee's
        elif cost := re.match(r"[+*-]?\d*(?: \S+)? (\d+)$", line):
            if not inclusive:
                counts[current] += int(cost[1])
            inclusive = False
    merged = collections.Counter()
    for number, n in counts.items():
        merged[re.sub(r"'\d+$", "", names[number])] += n  # f'2 is f called by itself
    return merged


def dumps(program, path, *options):
    """Runs a path under callgrind; returns the outputs of the LESS and of the MORE operations."""
    with tempfile.TemporaryDirectory(prefix="weft-icount-") as scratch:
        out = pathlib.Path(scratch) / "counts"
        command = ["valgrind", "--tool=callgrind", "--collect-atstart=no", f"--callgrind-out-file={out}", *options,
                   program, path, LESS, MORE]
        try:
            call(command, f"{path} under callgrind", timeout=RUN_LIMIT_S)
        except subprocess.TimeoutExpired:
            raise Failed(f"{path} under callgrind: not over after {RUN_LIMIT_S} s") from None
        return [pathlib.Path(f"{out}.{dump}").read_text(encoding="utf-8") for dump in (1, 2)]


def count(program, path):
    """Instructions per operation."""
    less, more = (totals(text) for text in dumps(program, path))
    return round((more - less) / (MORE - LESS), 1)


def show_functions(program, path):
    """Prints where the instructions of an operation are spent."""
    less, more = (by_function(text) for text in dumps(program, path))
    spent = {name: (more[name] - less[name]) / (MORE - LESS) for name in more | less}
    print(f"{path}: {sum(spent.values()):.1f} instructions per operation")
    for name, n in sorted(spent.items(), key=lambda item: -item[1]):
        if n >= 0.05:
            print(f"{n:10.1f}  {name}")


def count_all(program):
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(PATHS, pool.map(lambda path: count(program, path), PATHS)))


def verdict(recorded, counted):
    """One of: "same", "more", "fewer", "new"."""
    if recorded is None:
        return "new"
    margin = max(MARGIN_PART * recorded, MARGIN_LEAST)
    if counted > recorded + margin:
        return "more"
    return "fewer" if counted < recorded - margin else "same"


def compare(recorded, counted):
    """Prints the table; returns the paths by verdict."""
    by_verdict = {"same": [], "more": [], "fewer": [], "new": []}
    print(f"{'instructions per operation':28}{'recorded':>10}{'counted':>10}")
    for path, now in counted.items():
        before = recorded.get(path)
        found = verdict(before, now)
        by_verdict[found].append(path)
        print(f"{path:28}{'-' if before is None else before:>10}{now:>10}  {'' if found == 'same' else found}".rstrip())
    return by_verdict


def check(recorded, counted):
    """0, or 1 when a path takes more instructions than recorded."""
    found = compare(recorded, counted)
    if found["new"]:
        print(f"Not recorded for this compiler: {', '.join(found['new'])}. Record them: tools/icount.py --update")
    if found["fewer"]:
        print(f"Fewer instructions: {', '.join(found['fewer'])}. Keep the gain: tools/icount.py --update")
    if found["more"]:
        print(f"MORE instructions than recorded: {', '.join(found['more'])}. Find out why; if it is the price of "
              "something wanted, say so in the commit and run tools/icount.py --update", file=sys.stderr)
        return 1
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--check", action="store_true", help="compare with the record (the default)")
    action.add_argument("--update", action="store_true", help="record what was counted")
    action.add_argument("--where", choices=PATHS, metavar="PATH",
                        help=f"show the functions in which a path spends its instructions: {', '.join(PATHS)}")
    parser.add_argument("--build-dir", type=pathlib.Path, default=ROOT / "build" / "release",
                        help="build tree whose compiler, flags and library count (default build/release)")
    args = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("tools/icount.py: valgrind is not installed, so no instructions can be counted (Debian: apt-get install "
              "valgrind)", file=sys.stderr)
        return 2
    try:
        program, compiler = build(args.build_dir.resolve())
        key = compiler_key(compiler)
        print(f"{key}, {cache_entry(args.build_dir.resolve(), 'CMAKE_BUILD_TYPE')}")
        if args.where:
            show_functions(program, args.where)
            return 0
        counted = count_all(program)
    except Failed as failure:
        print(f"tools/icount.py: {failure}", file=sys.stderr)
        return 2
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    if args.update:
        compare(record.get(key, {}), counted)
        record[key] = counted
        RECORD.write_text(json.dumps(record, indent=4, sort_keys=True) + "\n", encoding="utf-8")
        return 0
    return check(record.get(key, {}), counted)


if __name__ == "__main__":
    sys.exit(main())
