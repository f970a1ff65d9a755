// What a user's first program does, through the installed headers and library: goroutines, results, exceptions.
#include <cstdio>
#include <stdexcept>
#include <string>

#include <weft/weft.hpp>

int main()
{
    return weft::run(
        []
        {
            weft::mutex m;
            weft::wait_group wg;
            int sum = 0;
            for (int i = 1; i <= 100; ++i) {
                wg.go(
                    [&m, &sum, i]
                    {
                        weft::yield();
                        m.lock();
                        sum += i;
                        m.unlock();
                    });
            }
            wg.wait();

            std::string caught;
            try {
                weft::async([]() -> int { throw std::runtime_error("thrown"); }).get();
            } catch (const std::runtime_error& e) {
                caught = e.what();
            }

            if (sum != 5050 || caught != "thrown") {
                std::fprintf(stderr, "sum %d, caught '%s'\n", sum, caught.c_str());
                return 1;
            }
            std::puts("ok");
            return 0;
        });
}
