"""The program `million`, small: its results, its page, its options, its limits: million_test.py PATH"""

import json
import os
import re
import subprocess
import tempfile
import unittest

import program

(MILLION,) = program.programs_or_skip(1)
SANITIZER = program.sanitizer(MILLION)

# TSan holds at most some thousand threads and fibers.
GOROUTINES = 2_000 if SANITIZER == "thread" else 20_000
THREADS = 200
PHASES = ["create", "gather at the gate", "exchange", "sleep", "finish"]
COLD_PHASES = [*PHASES[:2], "hibernate", "wake", *PHASES[2:]]
MASK = (1 << 64) - 1
GIB = 1 << 30


def scramble(x):
    """What task x gives: the output function of splitmix64, as in workload.hpp."""
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def sum_received(tasks):
    return sum(scramble(i ^ 1) for i in range(tasks)) & MASK


class Run(unittest.TestCase):
    """One run with everything, looked at from all sides."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        json_path = os.path.join(folder.name, "result.json")
        html_path = os.path.join(folder.name, "result.html")
        cls.done = program.run(
            MILLION,
            f"--goroutines={GOROUTINES}",
            f"--threads={THREADS}",
            "--procs=2",
            f"--json={json_path}",
            f"--html={html_path}",
        )
        if cls.done.returncode != 0:
            raise AssertionError(f"status {cls.done.returncode}:\n{cls.done.stdout}{cls.done.stderr}")
        with open(json_path, encoding="utf-8") as file:
            cls.result = json.load(file)
        with open(html_path, encoding="utf-8") as file:
            cls.html = file.read()

    def test_all_tasks_were_created_and_none_was_lost_or_doubled(self):
        for kind, count in (("goroutines", GOROUTINES), ("threads", THREADS), ("small_threads", THREADS)):
            run = self.result[kind]
            with self.subTest(kind):
                self.assertEqual((run["asked"], run["created"]), (count, count))
                self.assertEqual((run["reduced"], run["error"]), ("", ""))
                check = run["check"]
                self.assertEqual(check["sum"], sum_received(count))
                self.assertEqual(check["expected"], check["sum"])
                self.assertEqual([check[k] for k in ("lost", "doubled", "wrong", "early")], [0, 0, 0, 0])
                self.assertIs(check["good"], True)

    def test_phases(self):
        for kind in ("goroutines", "threads", "small_threads"):
            phases = self.result[kind]["phases"]
            hibernated = kind == "goroutines" and self.hibernation_is_on()
            self.assertEqual([p["name"] for p in phases], COLD_PHASES if hibernated else PHASES)
            self.assertTrue(all(p["seconds"] >= 0 and p["cpu_seconds"] >= 0 for p in phases))
            seconds = {p["name"]: p["seconds"] for p in phases}
            # The longest of so many random sleeps of up to a second.
            self.assertGreater(seconds["exchange"] + seconds["sleep"], 0.9)
            self.assertAlmostEqual(sum(seconds.values()), self.result[kind]["total_seconds"])
            late = self.result[kind]["lateness"]
            self.assertTrue(0 <= late["p50"] <= late["p99"] <= late["max"])

    def test_goroutines_waited_in_few_mappings(self):
        run = self.result["goroutines"]
        self.assertGreaterEqual(run["stats"]["goroutines_waiting"], GOROUTINES)
        self.assertEqual(run["stats"]["procs"], 2)
        self.assertGreaterEqual(run["stats"]["stacks_in_use"], GOROUTINES)
        if SANITIZER is None:
            self.assertLess(run["memory"]["mappings"], 100)
            self.assertLess(run["memory"]["pages"] / GOROUTINES, 5_000)

    def hibernation_is_on(self):
        return self.result["goroutines"]["hibernated"]["off"] == ""

    def test_goroutines_were_hibernated(self):
        if not self.hibernation_is_on():
            self.assertIn("No goroutines hibernated: ", self.done.stdout)
            self.assertNotIn("hibernated, each", self.done.stdout)
            self.skipTest(self.result["goroutines"]["hibernated"]["off"])
        run = self.result["goroutines"]
        cost = run["hibernated"]
        self.assertGreaterEqual(cost["tasks"], GOROUTINES * 0.99)
        self.assertGreater(run["stats"]["stack_hibernated"], 0)
        if SANITIZER is None:
            own = cost["memory"]["pages"] + cost["memory"]["page_tables"]
            self.assertLess(own / GOROUTINES, 700)
            self.assertLess(cost["memory"]["mappings"], 1_000)
        for label in ("memory, each, hibernated", "time to hibernate all", "time to wake all hibernated"):
            self.assertRegex(self.done.stdout, rf"(?m)^{label} +[\d-]")
        self.assertIn("goroutines, hibernated", self.html)
        self.assertIn("wake: ", self.html)
        for kind in ("threads", "small_threads"):
            self.assertEqual(self.result[kind]["hibernated"]["tasks"], 0)

    def test_small_costs(self):
        for kind in ("goroutines", "threads", "small_threads"):
            for name, seconds in self.result[kind]["costs"].items():
                self.assertTrue(0 < seconds < 0.1, f"{kind}, {name}: {seconds}")

    def test_machine_and_limits(self):
        machine = self.result["machine"]
        self.assertEqual(machine["cpus"], len(os.sched_getaffinity(0)))
        self.assertGreater(machine["memory"], 0)
        limits = self.result["thread_limits"]
        self.assertLessEqual({"kernel.threads-max", "kernel.pid_max", "vm.max_map_count", "memory"}, {l["name"] for l in limits})
        self.assertEqual([l["room"] for l in limits], sorted(l["room"] for l in limits))

    def test_the_table_is_printed(self):
        lines = self.done.stdout
        for label in ("created", "memory, each", "switch by yield", "start and join one", "time to run all"):
            self.assertRegex(lines, rf"(?m)^{re.escape(label)} +\S")
        self.assertEqual(lines.count("every value arrived, once, at its partner"), 3)
        self.assertIn("Threads stop at ", lines)
        table = lines[lines.index("\n\n") : lines.index("\n\n", lines.index("created"))]  # below the machine's names
        self.assertLessEqual(max(len(l) for l in table.splitlines()), 100)

    def test_progress_without_a_terminal_has_no_control_characters(self):
        self.assertIn("goroutines: create ...\n", self.done.stderr)
        self.assertNotRegex(self.done.stderr, "[\r\033]")

    def test_the_page_needs_nothing_but_itself(self):
        urls = set(re.findall(r"\b[a-z]+://[^\s\"'<>)]*", self.html))
        self.assertLessEqual(urls, {"http://www.w3.org/2000/svg"})
        self.assertNotRegex(self.html, r"(?i)<(script|link|img|iframe)|\bsrc=|@import|url\(")
        self.assertGreaterEqual(self.html.count("<svg "), 6)
        self.assertNotRegex(self.html, r'"-?(nan|inf)|"-[0-9.]+%"')
        self.assertIn(f"{GOROUTINES:,} goroutines on", self.html)
        self.assertIn("prefers-color-scheme: dark", self.html)
        self.assertIn('name="viewport"', self.html)


class Options(unittest.TestCase):
    def refused(self, *arguments):
        """Runs and expects a usage error at once, before anything is measured. Returns stderr."""
        done = program.run(MILLION, *arguments)
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        self.assertNotIn("small costs", done.stderr)
        return done.stderr

    def test_bad_numbers(self):
        self.assertIn("--memory", self.refused("--memory=much"))
        for option in ("--goroutines", "--threads", "--procs"):
            for value in ("-1", "abc", "", "1.5", "12x", "100000000000", "99999999999999999999"):
                with self.subTest(option=option, value=value):
                    self.assertIn(option, self.refused(f"{option}={value}"))
        for option in ("--goroutines", "--procs"):
            self.assertIn(option, self.refused(f"{option}=0"))

    def test_unknown_option(self):
        self.assertIn("--gorutines", self.refused("--gorutines=5"))

    def test_missing_value(self):
        self.refused("--json")

    def test_files_that_cannot_be_written(self):
        for option in ("--json", "--html"):
            self.assertIn("can't write /nowhere/at/all: No such file", self.refused(option, "/nowhere/at/all"))
            self.assertIn("can't write /proc: Is a directory", self.refused(option, "/proc"))

    def test_help(self):
        done = program.run(MILLION, "--help")
        self.assertEqual(done.returncode, 0)
        for option in ("--goroutines", "--threads", "--procs", "--memory", "--json", "--html", "--no-progress"):
            self.assertIn(option, done.stdout)

    def test_small_odd_counts_and_no_threads(self):
        for count in (1, 2, 3, 101):
            done = program.run(MILLION, f"--goroutines={count}", "--threads=0", "--no-progress", "--json=/dev/stderr")
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            result = json.loads(done.stderr)
            self.assertEqual(result["goroutines"]["check"]["sum"], sum_received(count))
            self.assertNotIn("threads", result)


@unittest.skipIf(SANITIZER, "a sanitizer needs the address space for itself")
class Limits(unittest.TestCase):
    def test_little_address_space(self):
        done = program.run(MILLION, "--threads=0", "--no-progress", before=("prlimit", f"--as={2 * GIB}"))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stderr, r"[\d,]+ goroutines instead of 1,000,000: the limit of the address space \(ulimit -v\)")
        self.assertRegex(done.stdout, r"of 1,000,000 goroutines \(.*\): the limit of the address space")

    def test_more_goroutines_than_fit_unless_hibernated(self):
        count = 40_000
        options = (f"--goroutines={count}", "--threads=0", "--memory=160M", "--no-progress", "--json=/dev/stderr")
        done = program.run(MILLION, *options)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        run = json.loads(done.stderr)["goroutines"]
        if run["hibernated"]["off"]:
            self.assertIn(f"none is hibernated: {run['hibernated']['off']}", run["reduced"])
            self.skipTest(run["hibernated"]["off"])
        self.assertEqual((run["created"], run["reduced"]), (count, ""))
        self.assertGreaterEqual(run["hibernated"]["tasks"], count * 0.99)
        self.assertEqual(run["check"]["sum"], sum_received(count))
        self.assertEqual([p["name"] for p in run["phases"]], COLD_PHASES)
        self.assertRegex(done.stdout, r"(?m)^memory, each +-$")
        self.assertIn(f"woken, in waves of {run['wave']:,}", done.stdout)

    def test_little_memory(self):
        done = program.run(MILLION, "--goroutines=100000000", "--threads=0", "--memory=80M", "--no-progress")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stderr, r"[\d,]+ goroutines instead of 100,000,000: --memory leaves [^,]+, [^,]+ in reserve, and a (hibernated )?goroutine takes about")

    def test_hardly_any_address_space(self):
        done = program.run(MILLION, "--threads=0", "--no-progress", before=("prlimit", f"--as={GIB // 16}"))
        self.assertIn(done.returncode, (0, 1))
        self.assertRegex(done.stdout + done.stderr, "address space|memory")

    def test_threads_stop_at_the_address_space(self):
        done = program.run(MILLION, "--goroutines=100", "--no-progress", before=("prlimit", f"--as={GIB}"))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"(?m)^\d+ of 32,000 threads \(8 MiB stack\): Resource temporarily unavailable: ulimit -v = 1.00 GiB is used up")

    @unittest.skipUnless(os.geteuid() == 0, "only root can become somebody without rights")
    def test_threads_stop_at_the_number_of_processes(self):
        nobody = ("setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", "--inh-caps=-all")
        try:
            subprocess.run([*nobody, "prlimit", "--nproc=150", "true"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            self.skipTest("setpriv is missing or refused")
        with tempfile.TemporaryDirectory() as folder:  # the build tree may be closed to others
            os.chmod(folder, 0o755)
            copy = os.path.join(folder, "million")
            with open(MILLION, "rb") as source, open(copy, "wb") as target:
                target.write(source.read())
            os.chmod(copy, 0o755)
            limited = (*nobody, "prlimit", "--nproc=150")
            done = program.run(copy, "--goroutines=100", "--threads=1000", "--no-progress", before=limited)
        self.assertEqual(done.returncode, 1 if "No result" in done.stdout else 0, done.stdout + done.stderr)
        self.assertIn("ulimit -u = 150 is used up", done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
