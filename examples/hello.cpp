// The first program: start goroutines, wait for them.
#include <chrono>
#include <cstdio>
#include <string>

#include "weft/weft.hpp"

using namespace std::chrono_literals;

int main()
{
    return weft::run(
        []
        {
            weft::wait_group all;
            for (int i = 1; i <= 3; ++i)
                all.go(
                    [i]
                    {
                        weft::sleep_for(10ms * (4 - i));  // parks the goroutine; its OS thread runs others
                        std::printf("hello from goroutine %d\n", i);
                    });
            all.wait();

            weft::future<std::string> answer = weft::async([] { return std::string("and a result from another one"); });
            std::printf("%s\n", answer.get().c_str());
        });
}
