#!/usr/bin/env python3
"""Compiles what must not compile, and checks that the compiler's message is the one that says what to do.

In refused/misuse.cpp each line that ends in "// error: TEXT" must be refused with TEXT, and no other line may be.

usage: refused.py COMPILER INCLUDE_FOLDER
"""

import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "refused"
MARK = re.compile(r"// error: (.+)$")

# Flags, and what is said of them.
FLAGS = (
    (["-std=c++17"], "weft needs C++20"),
    (["-std=c++20", "-fno-exceptions"], "weft needs exceptions"),
)


def messages_of(compiler, include, file, flags):
    """What the compiler says of `file`. Fails when it has nothing against it."""
    command = [compiler, "-fsyntax-only", "-ferror-limit=0", f"-I{include}", *flags, str(file)]
    if "clang" not in compiler:
        command.remove("-ferror-limit=0")
    done = subprocess.run(command, capture_output=True, text=True, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"})
    if done.returncode == 0:
        raise SystemExit(f"refused.py: it compiles, and must not: {' '.join(command)}")
    return done.stderr


def check_marks(said, file):
    """Yields what is wrong with `said` of a file whose lines are marked."""
    mentioned = {int(number) for number in re.findall(rf"{file.name}:(\d+):", said)}
    in_error = {int(number) for number in re.findall(rf"{file.name}:(\d+):\d+: error", said)}
    marked = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").split("\n"), 1):
        match = MARK.search(line)
        if match is not None:
            marked[number] = match.group(1)
    for number, text in marked.items():
        if number not in mentioned:
            yield f"{file.name}:{number}: is not refused"
        if text not in said and not (text == "use of deleted function" and "deleted" in said):
            yield f"{file.name}:{number}: nothing says: {text}"
    for number in sorted(in_error - marked.keys()):
        yield f"{file.name}:{number}: is refused, and must not be"


def main(arguments):
    if len(arguments) != 2:
        print(__doc__.strip())
        return 2
    compiler, include = arguments
    misuse = FOLDER / "misuse.cpp"
    said = messages_of(compiler, include, misuse, ["-std=c++20"])
    wrong = list(check_marks(said, misuse))
    for flags, text in FLAGS:
        of_flags = messages_of(compiler, include, FOLDER / "plain.cpp", flags)
        first = next((line for line in of_flags.split("\n") if "error" in line), "")
        if text not in first:
            wrong.append(f"{' '.join(flags)}: the first error is not \"{text}\" but: {first}")
    print("\n".join(wrong) if wrong else "refused: each with its message")
    if wrong:
        print(said)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
