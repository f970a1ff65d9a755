#!/usr/bin/env python3
"""Keeps the C++ of the pages equal to what is compiled and run.

A block of README.md, docs/guide/*.md or docs/memory-model.md that begins with "```cpp FILE/NAME" shows a region of
examples/guide/FILE.cpp: the lines between "// [NAME]" and "// [/NAME]", without their common indent. "```cpp NAME" shows
the whole of examples/NAME.cpp. Without an option the tool checks that each block is such code and each region stands on
a page; --update puts the code into the pages.
"""

import argparse
import pathlib
import re
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parent.parent
MARKER = re.compile(r"\s*// \[(/?)([a-z0-9_]+)\]\s*")
BLOCK = re.compile(r"^```cpp[ \t]*(.*?)[ \t]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)


def regions(text, file):
    """({name: code}, errors) of a source file. Regions may nest; markers are no part of any."""
    lines, opened, errors = {}, [], []
    for number, line in enumerate(text.splitlines(), 1):
        found = MARKER.fullmatch(line)
        if not found:
            for name in opened:
                lines[name].append(line)
            continue
        closes, name = found[1] == "/", found[2]
        if closes and name in opened:
            opened.remove(name)
        elif closes or name in lines:
            errors.append(f"{file}:{number}: [{found[1]}{name}] " + ("was not opened" if closes else "stands twice"))
        else:
            opened.append(name)
            lines[name] = []
    errors += [f"{file}: [{name}] has no [/{name}]" for name in opened]
    code = {name: textwrap.dedent("\n".join(body)).strip("\n") + "\n" for name, body in lines.items()}
    return code, errors + [f"{file}: [{name}] is empty" for name, body in code.items() if not body.strip()]


def fill(page, known, file):
    """(the page with every block as its region, errors, the names that it shows)."""
    errors, shown = [], set()

    def block(found):
        name, line = found[1], page.count("\n", 0, found.start()) + 1
        if name not in known:
            errors.append(f"{file}:{line}: " + (f"there is no {name}" if name else "```cpp without FILE/NAME"))
            return found[0]
        shown.add(name)
        return f"```cpp {name}\n{known[name]}```"

    return BLOCK.sub(block, page), errors, shown


def run(root, update):
    """All that is wrong, as lines of text; `update` mends what differs."""
    known = {p.stem: p.read_text(encoding="utf-8") for p in (root / "examples").glob("*.cpp")}
    errors, shown = [], set()
    for source in sorted((root / "examples" / "guide").glob("*.cpp")):
        found, wrong = regions(source.read_text(encoding="utf-8"), source.relative_to(root))
        known |= {f"{source.stem}/{name}": code for name, code in found.items()}
        errors += wrong
    for page in [root / "README.md", *sorted((root / "docs" / "guide").glob("*.md")), root / "docs" / "memory-model.md"]:
        if not page.exists():
            continue
        before = page.read_text(encoding="utf-8")
        after, wrong, names = fill(before, known, page.relative_to(root))
        errors += wrong
        shown |= names
        if after != before and update:
            page.write_text(after, encoding="utf-8")
        elif after != before:
            errors.append(f"{page.relative_to(root)}: differs from examples (tools/snippets.py --update)")
    return errors + [f"examples/guide: no page shows {name}" for name in sorted(known.keys() - shown) if "/" in name]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update", action="store_true", help="put the regions into the pages")
    errors = run(ROOT, parser.parse_args().update)
    print("\n".join(errors), end="\n" if errors else "", file=sys.stderr)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
