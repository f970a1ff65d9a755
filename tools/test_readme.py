"""The README shows the first program as it is compiled."""

import pathlib
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Readme(unittest.TestCase):
    def test_first_program_is_the_example(self):
        program = (ROOT / "examples/hello.cpp").read_text()
        self.assertIn("```cpp\n" + program + "```\n", (ROOT / "README.md").read_text())


if __name__ == "__main__":
    unittest.main()
