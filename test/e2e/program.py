"""Running a program under test: with the build's launcher before it, with a time limit, its output captured."""

import os
import subprocess
import sys

SKIPPED = 77  # what ctest takes for "skipped"
TIME_LIMIT_S = 90 * (6 if os.environ.get("WEFT_TEST_SLOW") or "TSAN_OPTIONS" in os.environ else 1)


def run(path, *arguments, before=(), environment=None):
    """Runs `path`; `before` are words of a command that starts it. Returns the finished process, output as text."""
    command = [*before, *os.environ.get("WEFT_TEST_LAUNCHER", "").split(), path, *arguments]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
        env={**os.environ, **(environment or {})},
        check=False,
    )


def sanitizer(path):
    """'thread', 'address' or None: with what the program was built."""
    with open(path, "rb") as file:
        content = file.read()
    for name, symbol in (("thread", b"__tsan_init"), ("address", b"__asan_init")):
        if symbol in content:
            return name
    return None


def programs_or_skip(count):
    """The paths on the command line, taken off it; ends the test as skipped unless there are `count`."""
    paths = [os.path.abspath(word) for word in sys.argv[1 : 1 + count] if os.path.exists(word)]
    if len(paths) < count:
        print("skipped: the program was not built")
        sys.exit(SKIPPED)
    del sys.argv[1 : 1 + count]
    return paths
