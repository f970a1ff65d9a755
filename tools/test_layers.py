"""Tests of layers.py: for each rule what it lets pass and what it reports."""

import contextlib
import io
import tempfile
import unittest
from pathlib import Path

import layers


def messages(path, text, files=()):
    known = {path, *files}
    return [message for _, message in layers.check_file(path, text, known.__contains__)]


class Layers(unittest.TestCase):
    FILES = (
        "src/base/list.hpp",
        "src/sys/stack.hpp",
        "src/rt/rt.hpp",
        "src/rt/g.hpp",
        "src/sync/sema.hpp",
        "src/time/sleep.hpp",
        "src/task/task.hpp",
        "src/chan/chan.hpp",
        "src/io/fd.hpp",
        "src/net/tcp.hpp",
        "src/debug/dump.hpp",
        "include/weft/go.hpp",
    )

    def includes(self, path, target):
        return messages(path, f'#include "{target}"\n', self.FILES)

    def test_allowed(self):
        for path, target in (
            ("src/base/a.cpp", "base/list.hpp"),
            ("src/sys/a.cpp", "base/list.hpp"),
            ("src/rt/a.cpp", "sys/stack.hpp"),
            ("src/rt/a.cpp", "rt/g.hpp"),
            ("src/sync/a.cpp", "rt/rt.hpp"),
            ("src/sync/a.cpp", "sys/stack.hpp"),
            ("src/task/a.cpp", "sync/sema.hpp"),
            ("src/task/a.cpp", "time/sleep.hpp"),
            ("src/net/a.cpp", "io/fd.hpp"),
            ("src/net/a.cpp", "chan/chan.hpp"),
            ("src/debug/a.cpp", "rt/g.hpp"),
            ("src/rt/a.cpp", "weft/go.hpp"),
        ):
            with self.subTest(path=path, target=target):
                self.assertEqual(self.includes(path, target), [])

    def test_forbidden(self):
        for path, target, reason in (
            ("src/base/a.cpp", "sys/stack.hpp", "sys/ lies above base/"),
            ("src/sys/a.cpp", "rt/rt.hpp", "rt/ lies above sys/"),
            ("src/rt/a.cpp", "sync/sema.hpp", "sync/ lies above rt/"),
            ("src/chan/a.cpp", "net/tcp.hpp", "net/ lies above chan/"),
            ("src/sync/a.cpp", "chan/chan.hpp", "chan/ and sync/ lie side by side"),
            ("src/sync/a.cpp", "task/task.hpp", "task/ and sync/ lie side by side"),
            ("src/sync/a.cpp", "rt/g.hpp", "sync/ may know of the scheduler only rt/rt.hpp"),
            ("src/net/a.cpp", "rt/g.hpp", "net/ may know of the scheduler only rt/rt.hpp"),
            ("src/rt/a.cpp", "debug/dump.hpp", "debug/ is an edge: nothing depends on it"),
        ):
            with self.subTest(path=path, target=target):
                self.assertEqual(self.includes(path, target), [f"includes src/{target}: {reason}"])

    def test_declared_exceptions_past_the_waist(self):
        layers.PAST_THE_WAIST["sync"] = {"rt/g.hpp"}
        try:
            self.assertEqual(self.includes("src/sync/a.cpp", "rt/g.hpp"), [])
            self.assertEqual(len(self.includes("src/chan/a.cpp", "rt/g.hpp")), 1)
        finally:
            del layers.PAST_THE_WAIST["sync"]

    def test_relative_and_angled_includes_are_the_same_file(self):
        reason = "includes src/rt/g.hpp: sync/ may know of the scheduler only rt/rt.hpp"
        self.assertEqual(self.includes("src/sync/a.cpp", "../rt/g.hpp"), [reason])
        self.assertEqual(messages("src/sync/a.cpp", "  #  include <rt/g.hpp>\n", self.FILES), [reason])

    def test_own_folder_by_bare_name(self):
        self.assertEqual(self.includes("src/rt/a.cpp", "g.hpp"), [])

    def test_unknown_files_and_folders(self):
        self.assertEqual(self.includes("src/rt/a.cpp", "rt/none.hpp"), ['"rt/none.hpp" is not found in src/ or include/'])
        self.assertEqual(messages("src/a.cpp", ""), ["lies in no layer's folder"])
        self.assertEqual(messages("src/odd/a.cpp", ""), ["lies in no layer's folder"])

    def test_computed_includes(self):
        self.assertEqual(len(messages("src/rt/a.cpp", "#include HEADER\n")), 1)
        self.assertEqual(messages("include/weft/detail/atomic.hpp", "#include WEFT_MODEL_ATOMIC\n"), [])


class PublicHeaders(unittest.TestCase):
    def test_public_headers_include_public_headers(self):
        files = ("include/weft/time.hpp", "src/rt/rt.hpp")
        self.assertEqual(messages("include/weft/go.hpp", '#include "weft/time.hpp"\n', files), [])
        self.assertEqual(messages("include/weft/go.hpp", "#include <weft/time.hpp>\n#include <vector>\n", files), [])
        self.assertEqual(
            messages("include/weft/go.hpp", '#include "rt/rt.hpp"\n', files),
            ["a public header includes src/rt/rt.hpp"],
        )


class ThreadLocals(unittest.TestCase):
    def test_only_in_their_file(self):
        self.assertEqual(messages("src/rt/tls.cpp", "thread_local int a;\n__thread int b;\n"), [])
        for path in ("src/rt/m.cpp", "src/sys/tls.cpp", "include/weft/go.hpp"):
            with self.subTest(path=path):
                self.assertEqual(len(messages(path, "static thread_local int a;\n")), 1)
                self.assertEqual(len(messages(path, "static __thread int a;\n")), 1)

    def test_whole_words(self):
        self.assertEqual(messages("src/rt/m.cpp", "int my_thread_local; int thread_locals;\n"), [])


class Atomics(unittest.TestCase):
    def test_only_in_the_shim_and_below(self):
        for text in ("std::atomic<int> a;", "std :: atomic_thread_fence(x);", "__atomic_load_n(p, 0);", "#include <atomic>"):
            for path in ("src/base/a.cpp", "src/sys/a.hpp", "include/weft/detail/atomic.hpp"):
                with self.subTest(path=path, text=text):
                    self.assertEqual(messages(path, text), [])
            for path in ("src/rt/a.cpp", "src/sync/a.hpp", "include/weft/sync.hpp"):
                with self.subTest(path=path, text=text):
                    self.assertEqual(len(messages(path, text)), 1)

    def test_the_shim_is_free(self):
        self.assertEqual(messages("src/rt/a.cpp", "base::atomic<int> a; base::memory_order_relaxed;"), [])


class SystemCalls(unittest.TestCase):
    BREACHES = (
        "void* p = mmap(nullptr, n, 0, 0, -1, 0);",
        "::madvise (p, n, MADV_DONTNEED);",
        "return syscall(SYS_futex, p);",
        "pthread_kill(t, 1);",
        "n = ::read(fd, p, n);",
        "if (::close(fd) != 0)",
        "#include <sys/syscall.h>",
        "#include <linux/futex.h>",
        "#include <unistd.h>",
        "#include <signal.h>",
    )

    def test_only_in_base_and_sys(self):
        for text in self.BREACHES:
            with self.subTest(text=text):
                self.assertEqual(messages("src/sys/a.cpp", text), [])
                self.assertEqual(messages("src/base/a.cpp", text), [])
                for path in ("src/rt/a.cpp", "src/net/a.cpp", "include/weft/go.hpp"):
                    self.assertEqual(len(messages(path, text)), 1)

    def test_names_that_only_look_like_one(self):
        for text in (
            "c.close();",
            "conn->read(p, n);",
            "close();",
            "void write(std::span<const std::byte> bytes);",
            "sys::futex_wait(p, 1);",
            "sys::madvise(p, n);",
            "file::open(name);",
            "vector<int>::read(p);",
            "my_mmap(p);",
            "int mmap = 1;",
            "#include <sys/types.h>",
            "#include <system_error>",
        ):
            with self.subTest(text=text):
                self.assertEqual(messages("src/rt/a.cpp", text), [])


class CommentsAndLiterals(unittest.TestCase):
    def test_they_do_not_count(self):
        for text in (
            "// thread_local std::atomic mmap(",
            "/* thread_local\n mmap( */ int a;",
            'report("thread_local %d mmap(", 1);',
            'report("a \\" thread_local");',
            'auto s = R"x(thread_local )" std::atomic)x";',
            "char c = '\"'; char d = '\"'; // mmap(",
            '// #include "rt/none.hpp"',
            '/*\n#include "rt/none.hpp"\n*/',
        ):
            with self.subTest(text=text):
                self.assertEqual(messages("src/rt/a.cpp", text), [])

    def test_code_around_them_counts(self):
        for text in (
            "/* x */ thread_local int a;",
            '"x"; thread_local int a;',
            "int n = 1'000'000; thread_local int a; int m = 1'000;",
            "char c = '\\''; thread_local int a;",
            'auto s = R"(")"; thread_local int a;',
        ):
            with self.subTest(text=text):
                self.assertEqual(len(messages("src/rt/a.cpp", text)), 1)

    def test_line_numbers(self):
        text = '/* one\n two */\nauto s = R"(\n)";\nthread_local int a;\n'
        self.assertEqual([line for line, _ in layers.check_file("src/rt/a.cpp", text, lambda _: False)], [5])


class Tree(unittest.TestCase):
    def run_main(self, *arguments):
        output = io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            status = layers.main(list(arguments))
        return status, output.getvalue()

    def test_a_tree(self):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            self.assertEqual(self.run_main(folder)[0], 2)
            for path, text in {
                "src/rt/rt.hpp": "#pragma once\n",
                "src/rt/tls.cpp": '#include "rt/rt.hpp"\nthread_local int a;\n',
                "src/sync/mutex.cpp": '#include "rt/rt.hpp"\n#include "weft/sync.hpp"\n',
                "include/weft/sync.hpp": "#pragma once\n",
            }.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text, encoding="utf-8")
            self.assertEqual(self.run_main(folder), (0, "layers: 4 files, 0 breaches\n"))
            (root / "src/sync/mutex.cpp").write_text("\nthread_local int a;\n", encoding="utf-8")
            status, output = self.run_main(folder)
            self.assertEqual(status, 1)
            self.assertIn("src/sync/mutex.cpp:2: thread_local", output)
            self.assertIn("layers: 4 files, 1 breach\n", output)

    def test_usage(self):
        self.assertEqual(self.run_main("--help")[0], 0)
        self.assertEqual(self.run_main("--odd")[0], 2)
        self.assertEqual(self.run_main("a", "b")[0], 2)

    def test_this_repository_has_the_layers_folders_only(self):
        root = Path(__file__).resolve().parent.parent
        known = {folder for layer in layers.LAYERS for folder in layer} | set(layers.EDGES)
        self.assertLessEqual({folder.name for folder in (root / "src").iterdir() if folder.is_dir()}, known)


if __name__ == "__main__":
    unittest.main()
