"""The small examples do what they say: examples_test.py HELLO FIB WORKERS PORT TESTING"""

import unittest

import program

HELLO, FIB, WORKERS, PORT, TESTING = program.programs_or_skip(5)


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

    def test_testing(self):
        done = program.run(TESTING)
        self.assertEqual(self.check(done), "again: the account is overdrawn\n" * 3)
        self.assertIn("repeats it: the account is overdrawn", done.stderr)


if __name__ == "__main__":
    unittest.main()
