"""Tests of snippets.py, and that the pages of this tree show what is compiled."""

import pathlib
import tempfile
import unittest

import snippets

SOURCE = """int main()
{
    // [outer]
    ++first;
    // [inner]
    if (x)
        ++second;
    // [/inner]
    // [/outer]
}
"""


class Regions(unittest.TestCase):
    def test_indent_and_nesting(self):
        code, errors = snippets.regions(SOURCE, "f")
        self.assertEqual(errors, [])
        self.assertEqual(code, {"outer": "++first;\nif (x)\n    ++second;\n", "inner": "if (x)\n    ++second;\n"})

    def test_what_is_wrong(self):
        for text, said in (("// [a]\nx\n", "f: [a] has no [/a]"), ("// [/a]\n", "f:1: [/a] was not opened"),
                           ("// [a]\nx\n// [/a]\n// [a]\nx\n// [/a]\n", "f:4: [a] stands twice"),
                           ("// [a]\n\n// [/a]\n", "f: [a] is empty")):
            self.assertIn(said, snippets.regions(text, "f")[1], text)


class Pages(unittest.TestCase):
    def tree(self, page, source=SOURCE):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        root = pathlib.Path(folder.name)
        for path, text in (("examples/guide/f.cpp", source), ("docs/guide/p.md", page)):
            (root / path).parent.mkdir(parents=True)
            (root / path).write_text(text, encoding="utf-8")
        return root

    def test_update_then_check(self):
        root = self.tree("# P\n\n```cpp f/outer\nstale\n```\nand\n```sh\nls\n```\n\n```cpp f/inner\n```\n")
        self.assertEqual(snippets.run(root, update=False),
                         ["docs/guide/p.md: differs from examples (tools/snippets.py --update)"])
        self.assertEqual(snippets.run(root, update=True), [])
        self.assertEqual(snippets.run(root, update=False), [])
        self.assertEqual((root / "docs/guide/p.md").read_text(encoding="utf-8"),
                         "# P\n\n```cpp f/outer\n++first;\nif (x)\n    ++second;\n```\nand\n```sh\nls\n```\n\n"
                         "```cpp f/inner\nif (x)\n    ++second;\n```\n")

    def test_whole_programs(self):
        root = self.tree("```cpp f/outer\n```\n```cpp f/inner\n```\n")
        (root / "examples/hello.cpp").write_text("int main() {}\n", encoding="utf-8")
        (root / "README.md").write_text("```cpp hello\nint\n```\n", encoding="utf-8")
        self.assertEqual(snippets.run(root, update=True), [])
        self.assertEqual((root / "README.md").read_text(encoding="utf-8"), "```cpp hello\nint main() {}\n```\n")

    def test_blocks_and_regions_without_a_partner(self):
        root = self.tree("```cpp f/outer\n```\n\n```cpp\nx\n```\n\n```cpp g/none\nx\n```\n")
        errors = snippets.run(root, update=True)
        self.assertEqual(len(errors), 3, errors)
        self.assertIn(":4: ```cpp without FILE/NAME", errors[0])
        self.assertIn("there is no g/none", errors[1])
        self.assertIn("no page shows f/inner", errors[2])


    def test_what_is_called_is_declared_on_the_page_or_in_the_library(self):
        source = """// [first]
void known(int times, std::function<void()> work)
{
    if (times > 0)
        work();  // not a call: comment()
    go("nor this()");
    helper();
    x.member(), other::function();
}
// [/first]
// [second]
return unknown(known(1));
// [/second]
"""
        root = self.tree("```cpp f/first\n```\n```cpp f/second\n```\n", source)
        header = root / "include/weft/go.hpp"
        header.parent.mkdir(parents=True)
        header.write_text("void go(const char*);  // helper\n", encoding="utf-8")
        self.assertEqual(snippets.run(root, update=True),
                         ["docs/guide/p.md:1: nothing on the page declares helper()",
                          "docs/guide/p.md:11: nothing on the page declares unknown()"])


class ThisTree(unittest.TestCase):
    def test_the_pages_show_what_is_compiled(self):
        self.assertEqual(snippets.run(snippets.ROOT, update=False), [])

    def test_the_readme_shows_the_first_program(self):
        self.assertIn("\n```cpp hello\n", (snippets.ROOT / "README.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    unittest.main()
