"""Tests of icount.py: when a count counts as changed, and what --check answers."""

import contextlib
import io
import unittest

import icount


class Verdict(unittest.TestCase):
    def test_margin(self):
        for recorded, counted, found in (
            (100, 100, "same"),
            (100, 110, "same"),
            (100, 110.1, "more"),
            (100, 90, "same"),
            (100, 89.9, "fewer"),
            (10, 12, "same"),  # at least 2 instructions
            (10, 12.1, "more"),
            (10, 7.9, "fewer"),
            (None, 5, "new"),
        ):
            self.assertEqual(icount.verdict(recorded, counted), found, (recorded, counted))


class Check(unittest.TestCase):
    def answer(self, recorded, counted):
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            status = icount.check(recorded, counted)
        return status, out.getvalue()

    def test_only_more_fails(self):
        for counted, status, said in ((50, 0, ""), (60, 1, "MORE"), (40, 0, "--update")):
            got, text = self.answer({"yield": 50}, {"yield": counted})
            self.assertEqual(got, status)
            self.assertIn(said, text)

    def test_not_recorded(self):
        status, text = self.answer({}, {"yield": 50})
        self.assertEqual(status, 0)
        self.assertIn("Not recorded", text)


class Totals(unittest.TestCase):
    def test_either_line(self):
        self.assertEqual(icount.totals("events: Ir\n1 2\ntotals: 4711\n"), 4711)
        self.assertEqual(icount.totals("events: Ir\nsummary: 4712\n\nfn=x\n"), 4712)
        with self.assertRaises(icount.Failed):
            icount.totals("events: Ir\n")


class ByFunction(unittest.TestCase):
    def test_own_instructions_only(self):
        text = "\n".join(("totals: 16", "fl=(1) a.cpp", "fn=(1) f", "10 2", "+3 1", "cfn=(2) g", "calls=1 20", "* 10",
                          "fi=(2) b.hpp", "-3 3", "", "fn=(2)", "20 6", "fn=(3) f'2", "21 4"))
        self.assertEqual(icount.by_function(text), {"f": 10, "g": 6})


if __name__ == "__main__":
    unittest.main()
