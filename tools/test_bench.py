"""Tests of bench.py: which rows are chosen, when a target counts as met, what is measured and what the table shows."""

import contextlib
import io
import json
import pathlib
import tempfile
import unittest

import bench

ROW = {"work": "yield between two", "program": "yield", "name": "yield/two", "procs": 1, "metric": "ns_per_op",
       "target": 6, "times": 15, "peers": {"go": "yield/two", "threads": "yield/sched"}}


def program(folder, name, text):
    """A stand-in for a benchmark program."""
    path = pathlib.Path(folder) / name
    path.write_text("#!/bin/sh\n" + text, encoding="utf-8")
    path.chmod(0o755)
    return path


def measured(row, weft, peers):
    """Measurements as if each side had given its list of values."""
    m = bench.Measurements(len(weft), 1)
    for side, values in {"weft": weft, **peers}.items():
        m.lines[side, bench.cases_of(row)[side], row["procs"]] = [{row["metric"]: v} for v in values]
    return m


class Judge(unittest.TestCase):
    def test_value_and_ratio(self):
        for value, ratio, met in ((5, 16, "yes"), (6, 15, "yes"), (5, 14, "value only"), (7, 16, "ratio only"),
                                  (7, 14, "NO"), (5, None, "yes, ratio unknown"), (None, None, "not measured")):
            self.assertEqual(bench.judge(ROW, value, ratio), met)

    def test_value_alone(self):
        row = {key: ROW[key] for key in ROW if key != "times"}
        self.assertEqual(bench.judge(row, 6, None), "yes")
        self.assertEqual(bench.judge(row, 6.1, 99), "NO")

    def test_without_a_target(self):
        self.assertEqual(bench.judge({"metric": "ms"}, 1, 1), "")


class Select(unittest.TestCase):
    def test_filters(self):
        for filters, chosen in (([], 1), (["yield"], 1), (["yield/*"], 1), (["between"], 1), (["sched"], 1),
                                (["mutex"], 0), (["mutex", "two"], 1)):
            self.assertEqual(len(bench.select([ROW], filters)), chosen, filters)


class Evaluate(unittest.TestCase):
    def test_medians_and_ratios(self):
        [row] = bench.evaluate([ROW], measured(ROW, [4, 6, 5], {"go": [90, 80, 100], "threads": [500, 500, 500]}))
        self.assertEqual(row["sides"]["weft"]["median"], 5)
        self.assertEqual(row["sides"]["weft"]["spread_percent"], 20)
        self.assertEqual(row["ratios"], {"go": 18, "threads": 100})
        self.assertEqual(row["met"], "yes")

    def test_a_side_that_failed_in_one_round_has_no_figure(self):
        m = measured(ROW, [4, 5, 6], {"go": [90, 80]})
        [row] = bench.evaluate([ROW], m)
        self.assertNotIn("go", row["sides"])
        self.assertIn("failed", bench.table([row], ["weft", "go"]))

    def test_a_missing_peer_has_no_column(self):
        [row] = bench.evaluate([ROW], measured(ROW, [5], {"threads": [500]}))
        self.assertNotIn("Go", bench.table([row], ["weft", "threads"]).splitlines()[0])


class Run(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def test_interleaved_in_processes_of_their_own(self):
        log = pathlib.Path(self.folder) / "log"
        sides = {}
        for side in ("weft", "go", "threads"):
            sides[side] = program(self.folder, side, f"echo {side} $GOMAXPROCS $WEFT_PROCS $6 >> {log}\n"
                                                     "echo '{\"ns_per_op\": 2}'\n")
        sides["weft"] = {"yield": sides["weft"]}
        m = bench.Measurements(2, 1)
        with contextlib.redirect_stderr(io.StringIO()):
            m.measure(ROW, sides)
            m.measure(ROW, sides)  # another row over the same cases measures nothing again
        one_round = ["weft 1 1 yield/two", "go 1 1 yield/two", "threads 1 1 yield/sched"]
        self.assertEqual(log.read_text(encoding="utf-8").splitlines(), one_round * 2)
        self.assertEqual(m.samples("go", "yield/two", 1, "ns_per_op"), [2, 2])
        self.assertEqual(m.failures, [])

    def test_failures(self):
        for text, said in (("echo broken >&2; exit 3", "exit status 3\nbroken"), ("kill -SEGV $$", "signal 11"),
                           ("echo nonsense", "no JSON line")):
            with self.assertRaises(bench.Failed) as caught:
                bench.run(program(self.folder, "fails", text), "case", 1, 1)
            self.assertIn(said, str(caught.exception))


class Targets(unittest.TestCase):
    def test_every_row_names_a_program_and_known_peers(self):
        rows = json.loads((bench.ROOT / "bench" / "targets.json").read_text(encoding="utf-8"))["rows"]
        for row in rows:
            self.assertLessEqual(set(row), {"work", "program", "name", "procs", "metric", "target", "times", "peers"})
            self.assertLessEqual(set(row["peers"]), {"go", "threads"})
            if row["program"] is not None:
                source = bench.ROOT / "bench" / "micro" / f"{row['program']}.cpp"
                self.assertIn(f'"{row["name"]}"', source.read_text(encoding="utf-8"))


if __name__ == "__main__":
    unittest.main()
