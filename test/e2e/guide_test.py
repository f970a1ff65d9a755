"""A program of examples/guide prints what its source says: guide_test.py SOURCE PROGRAM

The source ends with "// Output:", or "// Unordered output:" where goroutines may print in any order, and a comment line
for each line of stdout.
"""

import re
import sys
import unittest

import program

SOURCE = sys.argv.pop(1)
(PROGRAM,) = program.programs_or_skip(1)


class Guide(unittest.TestCase):
    def test_output(self):
        with open(SOURCE, encoding="utf-8") as source:
            found = re.search(r"^// (Output|Unordered output):\n((?://.*\n)*)\Z", source.read(), re.MULTILINE)
        self.assertTrue(found, f"{SOURCE} does not end with // Output: and its lines")
        expected = [re.sub("^// ?", "", line) for line in found[2].splitlines()]
        done = program.run(PROGRAM)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        order = sorted if found[1] == "Unordered output" else list
        self.assertEqual(order(done.stdout.splitlines()), order(expected))


if __name__ == "__main__":
    unittest.main()
