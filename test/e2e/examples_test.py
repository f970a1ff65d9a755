"""The small examples do what they say: examples_test.py PROGRAM..., in the order below"""

import os
import pathlib
import tempfile
import unittest

import program

HELLO, FIB, WORKERS, PORT, SIEVE, PIPELINE, PUBSUB, RATELIMIT, WORDCOUNT = program.programs_or_skip(9)


class Examples(unittest.TestCase):
    def check(self, done, status=0):
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout

    def test_hello(self):
        lines = self.check(program.run(HELLO)).splitlines()
        self.assertEqual(sorted(lines[:3]), [f"hello from goroutine {i}" for i in (1, 2, 3)])
        self.assertEqual(lines[3], "and a result from another one")

    def test_fib(self):
        for n, value in ((0, 0), (1, 1), (2, 1), (12, 144), (16, 987)):
            self.assertIn(f"fib({n}) = {value}: ", self.check(program.run(FIB, str(n))))

    def test_fib_with_bad_arguments(self):
        for words in (["-1"], ["41"], ["abc"], ["7x"], [""], ["99999999999999999999"], ["1", "2"]):
            done = program.run(FIB, *words)
            self.check(done, status=2)
            self.assertIn("usage: fib [N], N from 0 to 40", done.stderr)

    def test_workers(self):
        self.assertIn("148933 primes below 2000000", self.check(program.run(WORKERS)))

    def test_port(self):
        text = self.check(program.run(PORT))
        self.assertIn("1000 caches, 2000 entries", text)
        self.assertIn("a moment later: 1000 entries", text)

    def test_sieve(self):
        primes = [n for n in range(2, 1000) if all(n % d for d in range(2, n))]
        for limit in (2, 3, 4, 100, 1000):
            lines = self.check(program.run(SIEVE, str(limit))).split()
            self.assertEqual(lines, [str(p) for p in primes if p < limit])
        self.assertEqual(self.check(program.run(SIEVE)).split()[-1], "97")

    def test_sieve_with_bad_arguments(self):
        for words in (["1"], ["100001"], ["x"], [""], ["5", "6"]):
            done = program.run(SIEVE, *words)
            self.check(done, status=2)
            self.assertIn("usage: sieve [LIMIT]", done.stderr)

    def test_pipeline(self):
        found = [f"{n} takes {steps} steps" for n, steps in ((27, 111), (31, 106), (41, 109), (47, 104), (54, 112))]
        self.assertEqual(self.check(program.run(PIPELINE)).splitlines(), [*found, "enough: all stages have stopped"])

    def test_pubsub(self):
        self.assertEqual(self.check(program.run(PUBSUB)).splitlines(),
                         ["ann: weft has channels", "ann: and select", "bob: weft has channels", "bob: and select",
                          "eve: sunny"])

    def test_ratelimit(self):
        requests = [f"request {i}" + (", when there is a token again" if i > 3 else "") for i in range(1, 11)]
        self.assertEqual(self.check(program.run(RATELIMIT)).splitlines(), [*requests, "the limit was kept"])


class WordCount(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)

    def put(self, path, content):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_bytes(content)

    def test_this_repository(self):
        done = program.run(WORDCOUNT)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"^\d{5,} words, \d{4,} of them different, in \d{3,} files\n")
        self.assertRegex(done.stdout, r"(?m)^ +\d+ weft$")

    def test_a_folder(self):
        self.put("one.txt", b"The cat; the DOG. The end")
        self.put("deep/er/two", b"a cat's\n" * 3)
        self.put("empty", b"")
        self.put("binary", b"cat\0cat")
        self.put(".hidden/three", b"cat")
        self.put("build/four", b"cat")
        (self.root / "link").symlink_to("one.txt")
        done = program.run(WORDCOUNT, str(self.root))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([line.split() for line in done.stdout.splitlines()],
                         ["15 words, 6 of them different, in 3 files".split(), ["4", "cat"], ["3", "a"], ["3", "s"],
                          ["3", "the"], ["1", "dog"], ["1", "end"]])

    def test_a_file(self):
        self.put("one", b"word")
        self.assertIn("1 words, 1 of them different, in 1 files", program.run(WORDCOUNT, str(self.root / "one")).stdout)

    def test_what_cannot_be_read(self):
        missing = str(self.root / "missing")
        done = program.run(WORDCOUNT, missing)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr, f"wordcount: can't read {missing}: No such file or directory\n")

    @unittest.skipIf(os.geteuid() == 0, "root may read everything")
    def test_no_permission(self):
        self.put("file", b"word")
        self.put("folder/file", b"word")
        self.put("readable", b"word")
        for name in ("file", "folder"):
            (self.root / name).chmod(0)
        try:
            done = program.run(WORDCOUNT, str(self.root))
        finally:
            (self.root / "folder").chmod(0o700)
        self.assertEqual(done.returncode, 1)
        for name in ("file", "folder"):
            self.assertIn(f"wordcount: can't read {self.root / name}: Permission denied\n", done.stderr)
        self.assertIn("in 1 files", done.stdout)

    def test_too_many_arguments(self):
        done = program.run(WORDCOUNT, "a", "b")
        self.assertEqual(done.returncode, 2)
        self.assertIn("usage: wordcount [PATH]", done.stderr)


if __name__ == "__main__":
    unittest.main()
