#!/usr/bin/env python3
"""Keeps the C++ of the pages equal to what is compiled and run.

A block of README.md, docs/guide/*.md or docs/memory-model.md that begins with "```cpp FILE/NAME" shows a region of
examples/guide/FILE.cpp: the lines between "// [NAME]" and "// [/NAME]", without their common indent. "```cpp NAME" shows
the whole of examples/NAME.cpp. Without an option the tool checks that each block is such code, that each region stands on
a page, and that each function that a block calls by its plain name is declared there, in an earlier block of the page, or
in a public header; --update puts the code into the pages.
"""

import argparse
import pathlib
import re
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parent.parent
MARKER = re.compile(r"\s*// \[(/?)([a-z0-9_]+)\]\s*")
BLOCK = re.compile(r"^```cpp[ \t]*(.*?)[ \t]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)

NOT_TYPES = {"return", "throw", "new", "delete", "else", "case", "goto", "co_return", "co_await", "co_yield", "and", "or", "not"}
NOT_FUNCTIONS = {"if", "for", "while", "switch", "catch", "return", "throw", "sizeof", "alignof", "decltype", "noexcept", "requires",
                 "static_assert", "int", "char", "bool", "float", "double", "long", "unsigned", "auto", "assert", "defined", "explicit"}


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


def without_comments_and_strings(code):
    return re.sub(r'"(?:\\.|[^"\\\n])*"', '""', re.sub(r"//.*|/\*[\s\S]*?\*/", "", code))


def declared(code):
    """Names that code declares, guessed: they follow a type."""
    after_type = re.findall(r"\b([A-Za-z_]\w*)[>&*\])]*\s+[&*]*([A-Za-z_]\w*)\s*[(){=;,:]", code)
    after_type += re.findall(r"([>&*])\s+[&*]*([A-Za-z_]\w*)\s*[(){=;,:]", code)
    return {name for before, name in after_type if before not in NOT_TYPES} | set(re.findall(r"[{[,]\s*&?(\w+)\s*=", code))


def called(code):
    """Functions and objects that code calls by a plain name: not as members, not with a namespace before them."""
    return set(re.findall(r"(?<![\w.>:~])([A-Za-z_]\w*)\s*\(", code)) - NOT_FUNCTIONS


def public_names(root):
    """Every name in the public headers, which leaves out include/weft/detail."""
    headers = (root / "include" / "weft").glob("*.hpp")
    return set().union(*(re.findall(r"\w+", without_comments_and_strings(p.read_text(encoding="utf-8"))) for p in headers))


def strangers(page, library, file):
    """Errors: what blocks of the page call, though a reader can't know it."""
    seen, errors = set(library), []
    for found in BLOCK.finditer(page):
        code = without_comments_and_strings(found[2])
        seen |= declared(code)
        line = page.count("\n", 0, found.start()) + 1
        errors += [f"{file}:{line}: nothing on the page declares {name}()" for name in sorted(called(code) - seen)]
    return errors


def run(root, update):
    """All that is wrong, as lines of text; `update` mends what differs."""
    known = {p.stem: p.read_text(encoding="utf-8") for p in (root / "examples").glob("*.cpp")}
    library = public_names(root)
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
        errors += strangers(after, library, page.relative_to(root))
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
