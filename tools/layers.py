#!/usr/bin/env python3
"""Checks the rules by which weft's code is laid out (HACKING.md, "Layers"):

  layers      a file in src/X includes only its own folder, lower layers and the public headers; layers 3 and above know
              of the scheduler only the waist, rt/rt.hpp
  rooms       a file in src/rt/X includes its own room and the rooms below it; nothing in src/rt includes the facade
  headers     a .cpp in src/rt has its header, and a header declares only functions that its own .cpp defines
  public      public headers include public headers only
  tls         thread_local stands in src/rt/core/thread_local.cpp and its header alone, and in what counts a thread's locks
  atomics     std::atomic stands in base, sys and the shim include/weft/detail/atomic.hpp alone
  system      system calls and their headers stand in base and sys alone, and in the edges

Comments and literals do not count.

usage: tools/layers.py [root of the repository]
"""

import re
import sys
from pathlib import Path

# Lowest first. A folder sees the layers below its own, and of its own layer what SIBLINGS says.
LAYERS = (("base",), ("sys",), ("rt",), ("chan", "sync", "task", "time"), ("io", "net", "fs"))
SIBLINGS = {"task": {"sync", "time"}, "net": {"io"}, "fs": {"io"}}
# Targets of their own: they see everything, nothing sees them.
EDGES = ("debug", "hook", "dns", "tls")

# The rooms of src/rt, lowest first.
ROOMS = ("stack", "core", "poll", "sched", "wait", "services", "report", "boot")

# What folders above the scheduler may include of it, beside the waist.
WAIST = "rt/rt.hpp"
PAST_THE_WAIST = {}

# Definitions in src/rt that stand elsewhere than their declarations, and why.
WITHOUT_HEADER = {
    "rt/boot/hooks.cpp": "fills the tables that the lower rooms declare",
    "rt/report/debug.cpp": "defines what a public header declares",
    "rt/report/stats.cpp": "defines what a public header declares",
}

# src/debug/locks.cpp counts what a thread does, in functions that never park.
TLS_FILES = ("src/rt/core/thread_local.cpp", "src/rt/core/thread_local.hpp", "src/debug/locks.cpp")
ATOMIC_SHIM = "include/weft/detail/atomic.hpp"
SYSTEM_FOLDERS = ("base", "sys")

SYSTEM_HEADERS = re.compile(
    r"(linux|asm)/.*|sys/(syscall|mman|epoll|poll|eventfd|timerfd|signalfd|inotify|prctl|resource|sysinfo|auxv|wait)\.h"
    r"|(unistd|fcntl|poll|sched|pthread|signal|syscall|ucontext)\.h|csignal"
)
# Functions that are a system call, or next to one, whatever stands before the name ...
SYSTEM_CALLS = frozenset(
    "syscall mmap munmap mremap madvise mprotect mincore mlock munlock memfd_create futex membarrier userfaultfd clone3"
    " epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd timerfd_create timerfd_settime"
    " signalfd inotify_init inotify_init1 io_uring_setup io_uring_enter sched_yield sched_getaffinity sched_setaffinity"
    " sched_getcpu getrlimit setrlimit prctl arch_prctl sigaction sigaltstack sigprocmask tgkill nanosleep usleep"
    " clock_nanosleep clock_gettime vfork waitpid getauxval sysconf accept4 recvmmsg sendmmsg preadv pwritev".split()
)
SYSTEM_CALL_PREFIXES = ("pthread_",)
# ... and those whose names are common words: only when written ::name(...).
QUALIFIED_CALLS = frozenset(
    "read write readv writev pread pwrite open openat close dup dup2 dup3 pipe pipe2 poll ppoll select fcntl ioctl fork"
    " execve kill raise signal socket bind listen accept connect send recv sendto recvfrom sendmsg recvmsg shutdown"
    " getsockopt setsockopt stat fstat lstat getpid gettid sleep pause clone".split()
)

TOKEN = re.compile(
    r"""
    (?P<include> ^[ \t]*\#[ \t]*include[^\n]* )
  | (?P<number>  \b\d(?:'?[\w.])* )
  | (?P<comment> //(?:\\\n|[^\n])* | /\*.*?\*/ )
  | (?P<raw>     \b(?:u8|[uUL])?R"(?P<delimiter>[^()\\\s]{0,16})\(.*?\)(?P=delimiter)" )
  | (?P<literal> "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])+' )
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)
INCLUDE = re.compile(r'[ \t]*#[ \t]*include[ \t]*(?:"([^"]*)"|<([^>]*)>|(\S+))')
CALL = re.compile(r"\b([a-z_]\w*)\s*\(")


def code_only(text):
    """`text` with the same lines, its comments and literals blanked; include directives stay."""

    def blank(match):
        if match["include"] is not None or match["number"] is not None:
            return match.group()
        return "\n" * match.group().count("\n") or " "

    return TOKEN.sub(blank, text)


def layer_of(folder):
    """The layer's number, None for an edge; KeyError for a folder that is neither."""
    if folder in EDGES:
        return None
    for number, folders in enumerate(LAYERS):
        if folder in folders:
            return number
    raise KeyError(folder)


def room_of(path):
    """X of rt/X/..., None for a file of rt/ itself."""
    parts = path.split("/")
    return parts[1] if len(parts) > 2 else None


def room_allowed(source, target):
    """Why rt/... may not include another file of rt/, else None."""
    if source == WAIST:
        return None
    if target == WAIST:
        return "the facade is for the layers above; include what declares the thing itself"
    own, other = room_of(source), room_of(target)
    for room in (own, other):
        if room not in ROOMS:
            return f"src/rt/{room or ''} is no room: name it in tools/layers.py"
    if ROOMS.index(other) > ROOMS.index(own):
        return f"rt/{other}/ lies above rt/{own}/: call it through a hook (rt/sched/hooks.hpp)"
    return None


def include_allowed(source, target):
    """Why src/`source` may not include src/`target`, else None."""
    folder, target_folder = source.split("/")[0], target.split("/")[0]
    if folder == target_folder:
        return room_allowed(source, target) if folder == "rt" else None
    try:
        own, other = layer_of(folder), layer_of(target_folder)
    except KeyError as unknown:
        return f"src/{unknown.args[0]} belongs to no layer: name it in tools/layers.py"
    if own is None:
        return None
    if other is None:
        return f"{target_folder}/ is an edge: nothing depends on it"
    if other > own:
        return f"{target_folder}/ lies above {folder}/"
    if other == own and target_folder not in SIBLINGS.get(folder, ()):
        return f"{target_folder}/ and {folder}/ lie side by side"
    if target_folder == "rt" and target != WAIST and target not in PAST_THE_WAIST.get(folder, ()):
        return f"{folder}/ may know of the scheduler only {WAIST}"
    return None


def resolve(path, name, exists):
    """The path, from the root, of what `path` includes as "name" or <name>; None when it is none of our files."""
    parts = []
    for part in (Path(path).parent / name).parts:
        if part == "..":
            if not parts:
                return None
            parts.pop()
        else:
            parts.append(part)
    for candidate in ("/".join(parts), f"src/{name}", f"include/{name}"):
        if exists(candidate):
            return candidate
    return None


def check_include(path, line, exists):
    match = INCLUDE.match(line)
    if match is None:
        return
    quoted, angled, computed = match.groups()
    if computed is not None:
        if path != ATOMIC_SHIM:
            yield "a computed include: the layers can't be checked"
        return
    target = resolve(path, quoted if quoted is not None else angled, exists)
    if target is None:
        if quoted is not None:
            yield f'"{quoted}" is not found in src/ or include/'
        elif angled == "atomic" and not may_use_atomics(path):
            yield "<atomic>: use base/atomic.hpp"
        elif SYSTEM_HEADERS.fullmatch(angled) and not may_call_system(path):
            yield f"<{angled}> belongs to base/ and sys/"
        return
    if path.startswith("include/"):
        if not target.startswith("include/"):
            yield f"a public header includes {target}"
    elif target.startswith("src/"):
        reason = include_allowed(path[len("src/") :], target[len("src/") :])
        if reason is not None:
            yield f"includes {target}: {reason}"


def folder_of(path):
    """X of src/X/...; None for any other path."""
    parts = path.split("/")
    return parts[1] if parts[0] == "src" and len(parts) > 2 else None


def may_call_system(path):
    return folder_of(path) in SYSTEM_FOLDERS + EDGES


def may_use_atomics(path):
    return path == ATOMIC_SHIM or folder_of(path) in SYSTEM_FOLDERS


def system_calls(line):
    """The names of the system calls in a line of code."""
    for match in CALL.finditer(line):
        name, before = match.group(1), line[: match.start()].rstrip()
        if before.endswith((".", "->")):
            continue
        qualified = before.endswith("::")
        if qualified and re.search(r"[\w>]::$", before):
            continue
        if (
            name in SYSTEM_CALLS
            or name.startswith(SYSTEM_CALL_PREFIXES)
            or (qualified and name in QUALIFIED_CALLS)
        ):
            yield name


def check_file(path, text, exists):
    """Yields (line number, message) for each breach. `path` is relative to the root; `exists` knows such paths."""
    if path.startswith("src/"):
        folder = folder_of(path)
        try:
            layer_of(folder)
        except KeyError:
            yield 1, "lies in no layer's folder"
            return
    for number, line in enumerate(code_only(text).split("\n"), 1):
        if line.lstrip().startswith("#") and INCLUDE.match(line):
            for message in check_include(path, line, exists):
                yield number, message
            continue
        if path not in TLS_FILES and re.search(r"\b(thread_local|__thread)\b", line):
            yield number, f"thread_local: only {TLS_FILES[0]} has thread-locals"
        if not may_use_atomics(path):
            match = re.search(r"\bstd\s*::\s*atomic\w*|\b__(atomic|sync)_\w+", line)
            if match is not None:
                yield number, f"{match.group()}: use base::atomic (base/atomic.hpp)"
        if not may_call_system(path):
            for name in system_calls(line):
                yield number, f"{name}(): system calls belong to base/ and sys/"


SCOPE = re.compile(r"(?:inline\s+)?namespace\b[^;{}()]*$|extern\s*$")
FUNCTION = re.compile(r"(?<![\w:.>])((?:[a-z_]\w*::)*~?[a-z_]\w*)\s*\(")
NOT_FUNCTIONS = frozenset("alignas decltype requires static_assert sizeof noexcept explicit defined __attribute__ asm".split())


def free_functions(text):
    """Yields (line number, name, whether it is a definition) of the functions at namespace scope in a file of ours."""
    code = re.sub(r"^[ \t]*#(?:\\\n|[^\n])*", lambda m: "\n" * m.group().count("\n"), code_only(text), flags=re.MULTILINE)
    scopes, start, line, depth = [], 0, 1, 0
    for at, c in enumerate(code):
        if c == "\n":
            line += 1
        elif c == "(":
            depth += 1
        elif c == ")":
            depth -= 1
        elif depth > 0:
            continue
        elif c in ";{":
            head = code[start:at].strip()
            outside = all(scopes)
            if c == "{":
                scopes.append(SCOPE.search(head) is not None)
            if outside and not (c == "{" and scopes[-1]):
                name = function_named_in(head)
                if name is not None:
                    yield line, name, c == "{"
            start = at + 1
        elif c == "}":
            if scopes:
                scopes.pop()
            start = at + 1


def function_named_in(head):
    """The name of the function that a declaration's text declares, else None."""
    if re.match(r"(?:typedef|using|friend|template\s*<|concept|static_assert)\b", head):
        return None
    head = re.sub(r"\[\[[^\]]*\]\]", " ", head)
    if "=" in head.split("(")[0] or "operator" in head:
        return None
    for match in FUNCTION.finditer(head):
        name = match.group(1)
        if name in NOT_FUNCTIONS:
            continue
        return name if head[: match.start()].strip() else None
    return None


def check_headers(files):
    """Yields (path, line number, message) for what the rule "headers" forbids. `files`: path -> text, below src/rt."""
    declared, defined = [], {}
    for path, text in files.items():
        if path == f"src/{WAIST}":
            continue
        for line, name, is_definition in free_functions(text):
            if path.endswith(".hpp") and not is_definition:
                declared.append((path, line, name))
            elif path.endswith(".cpp") and is_definition:
                defined.setdefault(name, set()).add(path)
        if path.endswith(".cpp") and path[:-3] + "hpp" not in files and path[len("src/") :] not in WITHOUT_HEADER:
            yield path, 1, "has no header"
    for path, line, name in declared:
        own, places = path[:-3] + "cpp", defined.get(name, set())
        if places and own not in places:
            yield path, line, f"declares {name}(), which {min(places)} defines"


def check_tree(root):
    """The sorted breaches in a repository, as "path:line: message"; and how many files were looked at."""
    files = sorted(
        file.relative_to(root).as_posix()
        for folder in ("src", "include")
        for file in (root / folder).rglob("*")
        if file.suffix in (".hpp", ".cpp", ".h", ".S")
    )
    breaches = []
    texts = {path: (root / path).read_text(encoding="utf-8") for path in files}
    for path, text in texts.items():
        for number, message in check_file(path, text, lambda p: (root / p).is_file()):
            breaches.append(f"{path}:{number}: {message}")
    rt = {path: text for path, text in texts.items() if path.startswith("src/rt/")}
    breaches += [f"{path}:{number}: {message}" for path, number, message in check_headers(rt)]
    return breaches, len(files)


def main(arguments):
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        print(__doc__.strip())
        return 0 if arguments in (["-h"], ["--help"]) else 2
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    if not (root / "src").is_dir():
        print(f"layers.py: no src/ in {root}", file=sys.stderr)
        return 2
    breaches, count = check_tree(root)
    for breach in breaches:
        print(breach)
    print(f"layers: {count} files, {len(breaches)} {'breach' if len(breaches) == 1 else 'breaches'}")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
