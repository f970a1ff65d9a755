// What docs/guide/hazards.md shows.
#include <cerrno>
#include <cstdio>
#include <thread>

#include "weft/weft.hpp"

namespace {

// [thread_local]
thread_local int depth = 0;  // one for each OS thread, and not for each goroutine

[[gnu::noinline]] void enter()
{
    ++depth;  // does not park, so this is one thread's from beginning to end
}
[[gnu::noinline]] int leave()
{
    return --depth;
}

int visit(const weft::receiver<int>& answers)
{
    const weft::pin stay;  // without it leave() might find another thread's depth
    enter();
    const int answer = answers.recv().value();  // parks
    return answer + leave();
}
// [/thread_local]

// [errno]
/// A function of its own: it does not park, and is not inlined into one that does.
[[gnu::noinline]] int open_error(const char* path)
{
    std::FILE* const file = std::fopen(path, "r");
    if (file == nullptr)
        return errno;
    std::fclose(file);
    return 0;
}
// [/errno]

void threads_side()
{
    // [join]
    struct done {};
    const weft::chan<done> finished(1);
    std::thread library([finished] { finished.send({}); });
    static_cast<void>(finished.recv());  // parks: other goroutines run
    library.join();                      // blocks the OS thread, but only for a moment
    // [/join]
}

}  // namespace

int main()
{
    return weft::run(
        []
        {
            const weft::chan<int> answers(1);
            answers.send(42);
            std::printf("%d\n", visit(answers));
            std::printf("%s\n", open_error("/nowhere/at/all") == ENOENT ? "no such file" : "something else");
            threads_side();
        });
}

// Output:
// 42
// no such file
