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
        "src/rt/core/g.hpp",
        "src/rt/sched/park.hpp",
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
            ("src/rt/core/a.cpp", "sys/stack.hpp"),
            ("src/rt/core/a.cpp", "rt/core/g.hpp"),
            ("src/rt/sched/a.cpp", "rt/core/g.hpp"),
            ("src/rt/services/bubble/a.cpp", "rt/sched/park.hpp"),
            ("src/rt/rt.hpp", "rt/sched/park.hpp"),
            ("src/sync/a.cpp", "rt/rt.hpp"),
            ("src/sync/a.cpp", "sys/stack.hpp"),
            ("src/task/a.cpp", "sync/sema.hpp"),
            ("src/task/a.cpp", "time/sleep.hpp"),
            ("src/net/a.cpp", "io/fd.hpp"),
            ("src/net/a.cpp", "chan/chan.hpp"),
            ("src/debug/a.cpp", "rt/core/g.hpp"),
            ("src/rt/core/a.cpp", "weft/go.hpp"),
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
            ("src/sync/a.cpp", "rt/core/g.hpp", "sync/ may know of the scheduler only rt/rt.hpp"),
            ("src/net/a.cpp", "rt/core/g.hpp", "net/ may know of the scheduler only rt/rt.hpp"),
            ("src/rt/a.cpp", "debug/dump.hpp", "debug/ is an edge: nothing depends on it"),
        ):
            with self.subTest(path=path, target=target):
                self.assertEqual(self.includes(path, target), [f"includes src/{target}: {reason}"])

    def test_declared_exceptions_past_the_waist(self):
        layers.PAST_THE_WAIST["sync"] = {"rt/core/g.hpp"}
        try:
            self.assertEqual(self.includes("src/sync/a.cpp", "rt/core/g.hpp"), [])
            self.assertEqual(len(self.includes("src/chan/a.cpp", "rt/core/g.hpp")), 1)
        finally:
            del layers.PAST_THE_WAIST["sync"]

    def test_relative_and_angled_includes_are_the_same_file(self):
        reason = "includes src/rt/core/g.hpp: sync/ may know of the scheduler only rt/rt.hpp"
        self.assertEqual(self.includes("src/sync/a.cpp", "../rt/core/g.hpp"), [reason])
        self.assertEqual(messages("src/sync/a.cpp", "  #  include <rt/core/g.hpp>\n", self.FILES), [reason])

    def test_own_folder_by_bare_name(self):
        self.assertEqual(self.includes("src/rt/core/a.cpp", "g.hpp"), [])

    def test_unknown_files_and_folders(self):
        self.assertEqual(self.includes("src/rt/a.cpp", "rt/none.hpp"), ['"rt/none.hpp" is not found in src/ or include/'])
        self.assertEqual(messages("src/a.cpp", ""), ["lies in no layer's folder"])
        self.assertEqual(messages("src/odd/a.cpp", ""), ["lies in no layer's folder"])

    def test_computed_includes(self):
        self.assertEqual(len(messages("src/rt/a.cpp", "#include HEADER\n")), 1)
        self.assertEqual(messages("include/weft/detail/atomic.hpp", "#include WEFT_MODEL_ATOMIC\n"), [])


class Rooms(unittest.TestCase):
    FILES = ("src/rt/rt.hpp", "src/rt/core/g.hpp", "src/rt/sched/park.hpp", "src/rt/boot/boot.hpp", "src/rt/odd/a.hpp")

    def includes(self, path, target):
        return messages(path, f'#include "{target}"\n', self.FILES)

    def test_rooms_see_those_below(self):
        self.assertEqual(self.includes("src/rt/boot/a.cpp", "rt/sched/park.hpp"), [])
        self.assertEqual(
            self.includes("src/rt/core/a.cpp", "rt/sched/park.hpp"),
            ["includes src/rt/sched/park.hpp: rt/sched/ lies above rt/core/: call it through a hook (rt/sched/hooks.hpp)"],
        )
        self.assertEqual(len(self.includes("src/rt/services/bubble/a.cpp", "rt/boot/boot.hpp")), 1)

    def test_the_facade_is_for_the_layers_above(self):
        self.assertEqual(len(self.includes("src/rt/boot/a.cpp", "rt/rt.hpp")), 1)
        self.assertEqual(self.includes("src/chan/a.cpp", "rt/rt.hpp"), [])

    def test_unknown_rooms(self):
        self.assertIn("src/rt/odd is no room", self.includes("src/rt/boot/a.cpp", "rt/odd/a.hpp")[0])


class Headers(unittest.TestCase):
    def breaches(self, **files):
        named = {"src/rt/core/" + name.replace("_", ".", 1): text for name, text in files.items()}
        return [f"{path}:{line}: {message}" for path, line, message in layers.check_headers(named)]

    def test_a_header_declares_what_its_own_file_defines(self):
        own = "namespace weft::rt {\nint f(int a) noexcept;\n}\n"
        body = "namespace weft::rt {\nnamespace {\nint g() { return 1; }\n}\nint f(int a) noexcept\n{\n    return a + g();\n}\n}\n"
        self.assertEqual(self.breaches(a_hpp=own, a_cpp=body), [])
        self.assertEqual(
            self.breaches(a_hpp=own, a_cpp="", b_hpp="", b_cpp=body),
            ["src/rt/core/a.hpp:2: declares f(), which src/rt/core/b.cpp defines"],
        )

    def test_a_file_has_its_header(self):
        self.assertEqual(self.breaches(a_cpp="int f() { return 1; }"), ["src/rt/core/a.cpp:1: has no header"])

    def test_members_variables_and_calls_are_no_declarations(self):
        header = (
            "struct s {\n    void f();\n};\nextern const s table;\ninline int h() { return f(); }\n"
            "template <class T>\nvoid f(T);\nusing fn = void (*)(int);\n"
        )
        self.assertEqual(self.breaches(a_hpp=header, a_cpp="", b_hpp="", b_cpp="void f() {}\nint table() { return 1; }\n"), [])


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
        self.assertEqual(messages("src/rt/core/thread_local.cpp", "thread_local int a;\n__thread int b;\n"), [])
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
                "src/rt/rt.hpp": '#include "rt/core/thread_local.hpp"\n',
                "src/rt/core/thread_local.hpp": "int get();\n",
                "src/rt/core/thread_local.cpp": '#include "rt/core/thread_local.hpp"\nthread_local int a;\nint get() { return a; }\n',
                "src/sync/mutex.cpp": '#include "rt/rt.hpp"\n#include "weft/sync.hpp"\n',
                "include/weft/sync.hpp": "#pragma once\n",
            }.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text, encoding="utf-8")
            self.assertEqual(self.run_main(folder), (0, "layers: 5 files, 0 breaches\n"))
            (root / "src/sync/mutex.cpp").write_text("\nthread_local int a;\n", encoding="utf-8")
            status, output = self.run_main(folder)
            self.assertEqual(status, 1)
            self.assertIn("src/sync/mutex.cpp:2: thread_local", output)
            self.assertIn("layers: 5 files, 1 breach\n", output)

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
