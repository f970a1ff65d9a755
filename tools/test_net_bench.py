"""Tests of net_bench.py: which runs are made, when a goal counts as met, what the tables show, how servers end."""

import argparse
import contextlib
import io
import os
import subprocess
import unittest

import net_bench


def talked(rate, p99, user=1, kernel=5):
    return [rate, 100, p99, 2 * p99, 0, user, kernel]


class Verdicts(unittest.TestCase):
    def test_rate_and_p99(self):
        for rate, p99, met in ((150, 900, "yes"), (150, 901, "NO, p99 is worse"), (149, 900, "NO"),
                               (149, 901, "NO, p99 is worse")):
            results = {64: {"weft beast": [talked(rate, p99)], "Go net/http": [talked(100, 900, 2, 7)]}}
            [line] = net_bench.verdicts("http", results)
            self.assertEqual(line, f"weft beast / Go net/http at 64: {rate / 100:.2f} (>= 1.5): {met}; by CPU time for "
                                   "a request 1.50")

    def test_a_ratio_is_that_of_a_round(self):
        # The machine was slow in the second round, and slower in the third.
        ours = [talked(150, 10), talked(30, 100), talked(15, 100)]
        theirs = [talked(100, 11), talked(20, 110), talked(10, 110)]
        [line] = net_bench.verdicts("echo", {64: {"weft echo": ours, "tokio echo": list(theirs)}})
        self.assertIn("1.50 (>= 1.0): yes", line)

    def test_only_where_both_were_measured(self):
        one = [talked(1, 1)]
        self.assertEqual(net_bench.verdicts("http", {64: {"weft beast": one}}), [])
        self.assertEqual(net_bench.verdicts("echo", {1: {"weft echo": one, "tokio echo": one}}), [])


class Table(unittest.TestCase):
    def test_figures_and_what_is_missing(self):
        figures = [12345.6, 1500, 2500, 3500, 1, 0.444, 6]
        text = net_bench.table("http", {1_000: {"weft raw": [figures, [0.0] * 7, [1e9] * 7]}}, ["nginx: no nginx"])
        lines = text.splitlines()
        self.assertEqual(lines[0], "**HTTP hello**")
        self.assertRegex(lines[4], r"^\| weft raw \| +1,000 \| +12,346 \| +1\.50 \| +2\.50 \| +3\.50 \| +1 "
                                   r"\| +0\.44 \| +6\.00 \|$")
        self.assertEqual(lines[-1], "MISSING nginx: no nginx")

    def test_every_work_has_a_head_for_each_figure(self):
        for work, (_, heads) in net_bench.HEADS.items():
            count = {"idle": 1, "ping-pong": 3}.get(work, 7)
            self.assertEqual(len(net_bench.cells(work, [1.0] * count)), len(heads))
        self.assertEqual(set(net_bench.HEADS), set(net_bench.WORKS))


class Arguments(unittest.TestCase):
    def test_connections_fit_into_the_limit_of_descriptors(self):
        none = argparse.Namespace(connections=None)
        self.assertEqual(net_bench.connections_of("http", none, 1_000_000), [1, 64, 1_000, 10_000])
        self.assertEqual(net_bench.connections_of("http", none, 1_024), [1, 64, 824])
        self.assertEqual(net_bench.connections_of("idle", argparse.Namespace(connections="7,5"), 1_024), [5, 7])

    def test_defaults(self):
        self.assertEqual((net_bench.parse([]).seconds, net_bench.parse([]).rounds), (1, 9))
        quick = net_bench.parse(["--quick", "--rounds", "2"])
        self.assertEqual((quick.seconds, quick.rounds), (1, 2))

    def test_unknown_work(self):
        with contextlib.redirect_stderr(io.StringIO()), self.assertRaises(SystemExit):
            net_bench.parse(["--work", "http,nonsense"])


class Servers(unittest.TestCase):
    def setUp(self):
        self.core = min(os.sched_getaffinity(0))

    def test_a_server_says_where_it_listens_and_ends(self):
        server = net_bench.Server("s", ("http",), ["sh", "-c", "echo listening on 127.0.0.1:1234; exec sleep 60"])
        with net_bench.running(server, self.core) as (process, port):
            self.assertEqual(port, 1234)
            self.assertIsNone(process.poll())
        self.assertIsNotNone(process.poll())

    def test_a_server_that_does_not_start(self):
        with self.assertRaisesRegex(net_bench.bench.Failed, "does not say where it listens"):
            net_bench.Server("s", ("http",), ["sh", "-c", "echo no"]).start(self.core)

    def test_cpu_time_for_a_request(self):
        process = subprocess.Popen(["sh", "-c", "read go; while :; do :; done"], stdin=subprocess.PIPE, text=True)

        def load():
            process.stdin.write("go\n")
            process.stdin.flush()
            while sum(net_bench.cpu(process.pid)) < 0.2:
                pass
            return [1_000, 1, 2, 3, 0]

        try:
            *figures, user, kernel = net_bench.with_cpu(process, 2, load)
            self.assertEqual(figures, [1_000, 1, 2, 3, 0])
            self.assertGreaterEqual(user + kernel, 0.2 / 2_000 * 1e6 * 0.99)
        finally:
            process.kill()
            process.communicate()

    def test_memory_of_children_counts(self):
        process = subprocess.Popen(["sh", "-c", "sleep 60 & sleep 60 & echo; wait"], stdout=subprocess.PIPE)
        try:
            process.stdout.readline()
            alone = net_bench.resident(process.pid)
            [child, other] = net_bench.children(process.pid)
            self.assertGreaterEqual(alone, net_bench.resident(child) + net_bench.resident(other))
        finally:
            for pid in net_bench.children(process.pid):
                os.kill(pid, 9)
            process.communicate()


if __name__ == "__main__":
    unittest.main()
