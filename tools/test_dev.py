"""Tests of ./dev: its arguments, how it counts and times steps, and what it says when it may not install packages."""

import pathlib
import re
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PARTS = "set -euo pipefail; for part in tools/dev/*.sh; do source $part; done; "


def run(*command):
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                          text=True, check=False)
    return done.returncode, done.stdout


def script(text):
    return run("bash", "-c", PARTS + text)


class Arguments(unittest.TestCase):
    def test_help_names_every_command(self):
        status, output = run("./dev", "--help")
        self.assertEqual(status, 0)
        for command in ("setup", "build", "run", "test", "bench", "stress", "fmt", "lint", "docs"):
            self.assertIn(f"\n  {command} ", output)

    def test_what_is_refused(self):
        for arguments in (
            ["nonsense"],
            ["setup", "nonsense"],
            ["run", "nonsense"],
            ["test", "--nonsense"],
            ["test", "--preset"],
            ["test", "--procs", "1,x"],
            ["test", "--all", "--preset", "tsan"],
            ["test", "--all", "--procs", "2"],
            ["stress", "--seconds", "0"],
            ["stress", "--program", "nonsense"],
            ["stress", "--models", "nonsense"],
            ["stress", "--operations", "1000"],
            ["fmt", "--nonsense"],
            ["lint", "--nonsense"],
            ["docs", "--nonsense"],
            ["build", "nonsense"],
        ):
            with self.subTest(arguments=arguments):
                if arguments[0] == "nonsense":
                    status, output = run("./dev", *arguments)
                else:  # before it installs anything
                    status, output = script("need() { echo installs; }; want() { need; }; cmd_" + " ".join(arguments))
                self.assertEqual(status, 1, output)
                self.assertIn("./dev: ", output)
                self.assertNotIn("installs", output)

    def test_jobs(self):
        status, output = run("env", "WEFT_JOBS=none", "./dev", "--help")
        self.assertEqual(status, 1)
        self.assertIn("WEFT_JOBS=none", output)

    def test_examples(self):
        self.assertEqual(run("./dev", "run", "--list")[0], 0)


class Steps(unittest.TestCase):
    def test_a_step_ends_at_its_first_failure_and_the_others_go_on(self):
        status, output = script(
            "breaks() { false; echo unreached; }; works() { echo reached; };"
            "step one breaks; step two works; report_steps; echo unreached"
        )
        self.assertEqual(status, 1)
        self.assertNotIn("unreached", output)
        self.assertIn("reached", output)
        self.assertRegex(output, r"one +FAILED")
        self.assertRegex(output, r"two +passed")

    def test_the_closing_line_adds_up_what_ctest_says(self):
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder) / "log"
            log.write_text("noise\n90% tests passed, 1 tests failed out of 10\n\nTotal\n", encoding="utf-8")
            status, output = script(f"count_ctest {log}; count_ctest {log}; count_ctest /dev/null; report_steps")
        self.assertEqual(status, 0)
        self.assertTrue(output.endswith("\n18 passed, 2 failed\n"), output)

    def test_the_fingerprint_changes_with_its_own_compilers_alone(self):
        status, output = script(
            "prints() { fingerprint release; fingerprint release-clang; };"
            "prints; prints; eval 'clang++-19() { echo another; }'; prints"
        )
        self.assertEqual(status, 0, output)
        release, clang, release_again, clang_again, release_then, clang_then = output.split()
        self.assertEqual(release, release_again)
        self.assertEqual(clang, clang_again)
        self.assertEqual(release, release_then)
        self.assertNotEqual(clang, clang_then)

    def test_each_suite_builds_what_it_runs(self):
        programs = {"unit", "conform", "crash", "fault", "model", "tls", "asio", "stress-short"}
        for preset in ("tsan", "asan", "release-clang", "lto", "aarch64"):
            with self.subTest(preset=preset):
                targets = {t.removeprefix("weft_") for t in script(f"suite_targets {preset}")[1].split()}
                if "tests" in targets:
                    targets = targets - {"tests"} | programs - {"model"}
                    targets -= {"crash"} if preset == "tsan" else set()
                arguments = script(f"suite_arguments {preset}")[1].splitlines()
                self.assertEqual(arguments[::2], ["--label-regex", "--exclude-regex"])
                labels, left_out = arguments[1::2]
                runs = {p for p in programs if re.fullmatch(labels, p)}
                self.assertEqual(runs, targets)
                self.assertIsNone(re.search(left_out, "unit-procs-4"))
                self.assertIsNotNone(re.search(left_out, "unit-procs-16"))
        self.assertEqual(script("suite_targets release; suite_arguments release"), (0, ""))


class Packages(unittest.TestCase):
    MISSING = 'have_package() { [[ $1 != ninja-build && $1 != cmake ]]; }; '

    def test_nothing_is_missing(self):
        self.assertEqual(script("have_package() { true; }; apt-get() { echo called; }; need cmake g++"), (0, ""))

    def test_root_installs_what_is_missing(self):
        status, output = script(
            self.MISSING + "id() { echo 0; }; env() { echo \"$*\" >&3; echo 'Get:1 cmake'; echo 'noise'; }; exec 3>&1;"
            "cd \"$(mktemp -d)\"; need g++ cmake ninja-build cmake; cat build/setup.log >log; echo logged $(cat log); rm -r \"$PWD\""
        )
        self.assertEqual(status, 0, output)
        self.assertIn("apt-get install -y --no-install-recommends cmake ninja-build\n", output)
        self.assertIn("\nGet:1 cmake\nlogged Get:1 cmake noise\n", output)

    def test_what_apt_said_is_shown_when_it_fails(self):
        status, output = script(
            self.MISSING + "id() { echo 0; }; apt-get() { false; }; env() { echo broken; false; };"
            "cd \"$(mktemp -d)\"; trap 'rm -r \"$PWD\"' EXIT; need cmake"
        )
        self.assertEqual(status, 1)
        self.assertIn("\nbroken\n", output)
        self.assertIn("the installation failed", output)

    def test_what_an_installed_weft_can_do_without_is_not_insisted_on(self):
        missing = "have_package() { [[ $1 != libssl-dev ]]; }; id() { echo 1000; }; sudo() { false; }; "
        status, output = script(missing + "want g++ libssl-dev; echo goes on")
        self.assertEqual(status, 0, output)
        self.assertIn("apt-get install -y --no-install-recommends libssl-dev\ngoes on\n", output)

    def test_an_example_needs_what_it_uses(self):
        for name, packages in (("hello", ""), ("echo", ""), ("million", "libfmt-dev"), ("http_client", "libssl-dev libboost1.81-dev")):
            with self.subTest(name=name):
                output = script(f"need() {{ echo \" $* \"; exit 0; }}; cmd_run {name}")[1]
                self.assertIn(" g++ cmake ninja-build ", output)
                self.assertIn(f"{packages} ", output)
                self.assertEqual("libssl-dev" in output, name.startswith("http"))

    def test_the_help_of_the_benchmarks_installs_python_alone(self):
        for arguments in ("--help", "--net -h"):
            self.assertEqual(script(f"need() {{ echo \"$@\"; exit 0; }}; cmd_bench {arguments}"), (0, "python3\n"))
        self.assertIn("libbenchmark-dev", script('need() { echo "$@"; exit 0; }; cmd_bench --quick')[1])

    def test_what_is_built_for_an_installation(self):
        status, output = script(
            "want() { echo wants \"$@\"; }; need_for_preset() { :; }; cmake() { echo cmake \"$@\"; };"
            "configure() { :; }; cd \"$(mktemp -d)\"; trap 'rm -r \"$PWD\"' EXIT; mkdir build;"
            'echo \'{"name": "release", "configurePreset": "release"}\' >CMakePresets.json;'
            "printf '%s\\n' '-- noise' '-- weft: weft::tls is left out: no reason' >build/release.configure.log;"
            "cmd_build; cmd_build release all"
        )
        self.assertEqual(status, 0, output)
        installed, everything = output.split("build release: all")
        self.assertIn("wants libssl-dev libc-ares-dev libdw-dev pkgconf\n", installed)
        self.assertIn("--target weft_libraries\nweft::tls is left out: no reason\n", installed)
        self.assertNotIn("wants", everything)
        self.assertIn("--target all\n", everything)

    def test_others_are_told_what_to_run(self):
        status, output = script(self.MISSING + "id() { echo 1000; }; sudo() { false; }; need g++ cmake ninja-build")
        self.assertEqual(status, 1)
        self.assertIn("apt-get update && apt-get install -y --no-install-recommends cmake ninja-build", output)


if __name__ == "__main__":
    unittest.main()
