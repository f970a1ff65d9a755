"""The guide shows code as it is compiled: each piece of C++ in docs/guide/NAME.md is one between two `// [piece]` lines of
examples/NAME.cpp, and the other way round."""

import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Pages whose code comes from a program.
PAGES = ["testing"]


def pieces_of(program):
    return [body for _, body in re.findall(r"^// \[(\w+)\]\n(.*?)^// \[\1\]\n", program, re.DOTALL | re.MULTILINE)]


class Guide(unittest.TestCase):
    def test_code_is_that_of_the_programs(self):
        for page in PAGES:
            program = (ROOT / f"examples/{page}.cpp").read_text(encoding="utf-8")
            text = (ROOT / f"docs/guide/{page}.md").read_text(encoding="utf-8")
            shown = re.findall(r"^```cpp\n(.*?)^```\n", text, re.DOTALL | re.MULTILINE)
            self.assertEqual(shown, pieces_of(program), page)


if __name__ == "__main__":
    unittest.main()
