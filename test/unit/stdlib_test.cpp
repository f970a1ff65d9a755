// The standard library and libc on goroutine stacks of the default size: nothing in them minds where it runs.
#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <any>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iomanip>
#include <locale>
#include <map>
#include <mutex>
#include <random>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "fixture.hpp"

namespace {

using stdlib_test = weft::test::fixture;
using weft::test::procs;
using weft::test::scaled;

// Runs `body` in `count` goroutines on several Ps; it returns whether all went well.
template <class Body>
void in_goroutines(std::size_t count, Body body)
{
    const procs four(4);
    std::atomic<std::size_t> good{0};
    weft::wait_group all;
    for (std::size_t i = 0; i < count; ++i)
        all.go([&, i] { good += body(i) ? 1U : 0U; });
    all.wait();
    EXPECT_EQ(good, count);
}

WEFT_TEST(stdlib_test, function_local_statics_are_made_once)
{
    static std::atomic<int> made{0};
    struct costly {
        int value;
        costly()
        {
            std::this_thread::yield();
            value = ++made;
        }
    };
    made = 0;
    in_goroutines(1'000,
                  [](std::size_t)
                  {
                      static const costly one;
                      return one.value == 1;
                  });
    EXPECT_EQ(made, 1);
}

WEFT_TEST(stdlib_test, a_static_whose_constructor_throws_is_tried_again)
{
    if (weft::test::under_tsan)
        GTEST_SKIP() << "GCC 12's TSan forgets to wake who waits for a static when its constructor throws";
    static std::atomic<int> attempts{0};
    attempts = 0;
    in_goroutines(100,
                  [](std::size_t)
                  {
                      for (;;) {
                          try {
                              static const int value = []
                              {
                                  if (++attempts < 5)
                                      throw std::runtime_error("not yet");
                                  return 42;
                              }();
                              return value == 42;
                          } catch (const std::runtime_error&) {
                              weft::yield();
                          }
                      }
                  });
    EXPECT_EQ(attempts, 5);
}

WEFT_TEST(stdlib_test, call_once)
{
    std::once_flag flag;
    std::atomic<int> calls{0};
    in_goroutines(500,
                  [&](std::size_t)
                  {
                      std::call_once(flag, [&] { ++calls; });
                      return calls == 1;
                  });
}

WEFT_TEST(stdlib_test, strings_and_containers)
{
    in_goroutines(scaled(500),
                  [](std::size_t n)
                  {
                      std::map<std::string, std::vector<int>> m;
                      for (std::size_t i = 0; i < 100; ++i) {
                          m[std::to_string(i * n) + std::string(i, 'x')].push_back(static_cast<int>(i));
                          if (i % 10 == 0)
                              weft::yield();
                      }
                      std::vector<std::string> keys;
                      for (const auto& [key, value] : m)
                          keys.push_back(key);
                      weft::yield();
                      std::sort(keys.rbegin(), keys.rend());
                      return keys.size() == m.size() && std::is_sorted(keys.rbegin(), keys.rend());
                  });
}

WEFT_TEST(stdlib_test, regular_expressions)
{
    // libstdc++ fills a cache of std::ctype without a lock, the same way in each thread: not in front of TSan.
    constexpr const char* pattern = R"(([\w.+-]+)@((?:[\w-]+\.)+[a-z]{2,}))";
    (void)std::regex_search("a@b.cd", std::regex(pattern));
    (void)std::regex("[aeiou]");
    in_goroutines(scaled(100),
                  [](std::size_t n)
                  {
                      const std::regex mail(pattern);
                      const std::string text = "write to user" + std::to_string(n) + "@mail.example.org, or not";
                      std::smatch match;
                      weft::yield();
                      return std::regex_search(text, match, mail) && match[1] == "user" + std::to_string(n) &&
                             match[2] == "mail.example.org" &&
                             std::regex_replace(text, std::regex("[aeiou]"), "_").find('a') == std::string::npos;
                  });
}

WEFT_TEST(stdlib_test, long_doubles_are_printed)
{
    in_goroutines(scaled(200),
                  [](std::size_t)
                  {
                      // The longest conversion there is: thousands of digits through buffers on the stack.
                      std::vector<char> text(20'000);
                      const int length = std::snprintf(text.data(), text.size(), "%.5000Lf", 1.0L / 3.0L);
                      weft::yield();
                      if (length != 5'002 || std::string_view(text.data(), 7) != "0.33333")
                          return false;
                      const int large =
                          std::snprintf(text.data(), text.size(), "%.0Lf", std::numeric_limits<long double>::max());
                      long double back = 0;
                      return large > 300 && std::sscanf(text.data(), "%Lf", &back) == 1 && std::isnormal(back);
                  });
}

WEFT_TEST(stdlib_test, streams_and_locales)
{
    in_goroutines(scaled(200),
                  [](std::size_t n)
                  {
                      std::ostringstream out;
                      out.imbue(std::locale::classic());
                      const std::time_t epoch = 0;
                      std::tm date{};
                      ::gmtime_r(&epoch, &date);
                      out << std::setw(12) << std::setfill('*') << std::hex << n << ' ' << std::setprecision(30)
                          << 3.14159265358979L << ' ' << std::put_time(&date, "%F");
                      weft::yield();
                      std::istringstream in(out.str());
                      std::string first;
                      long double second = 0;
                      std::string third;
                      in >> first >> second >> third;
                      return first.size() == 12 && std::abs(second - 3.14159265358979L) < 1e-15L &&
                             third == "1970-01-01";
                  });
}

WEFT_TEST(stdlib_test, random_numbers)
{
    in_goroutines(scaled(50),
                  [](std::size_t n)
                  {
                      // 2.5 KB and 5 KB of state on the stack.
                      std::mt19937 a(static_cast<unsigned>(n));
                      std::mt19937_64 b(n);
                      std::normal_distribution<double> d;
                      double sum = 0;
                      for (int i = 0; i < 1'000; ++i) {
                          sum += d(a) + static_cast<double>(b() & 1U);
                          if (i % 100 == 0)
                              weft::yield();
                      }
                      return std::isfinite(sum);
                  });
}

WEFT_TEST(stdlib_test, addresses_are_looked_up)
{
    in_goroutines(std::min<std::size_t>(scaled(50), 20),
                  [](std::size_t n)
                  {
                      addrinfo hints{};
                      hints.ai_family = AF_INET;
                      hints.ai_socktype = SOCK_STREAM;
                      addrinfo* found = nullptr;
                      // A name, too, goes through the whole machinery of nsswitch; the answer may be that there is
                      // none.
                      if (n % 4 == 0 && ::getaddrinfo("localhost", nullptr, &hints, &found) == 0)
                          ::freeaddrinfo(found);
                      if (::getaddrinfo("127.0.0.1", "80", &hints, &found) != 0)
                          return false;
                      weft::yield();
                      sockaddr_in address{};
                      std::memcpy(&address, found->ai_addr, sizeof address);
                      ::freeaddrinfo(found);
                      return address.sin_addr.s_addr == htonl(INADDR_LOOPBACK) && address.sin_port == htons(80);
                  });
}

WEFT_TEST(stdlib_test, files_and_paths)
{
    in_goroutines(std::min<std::size_t>(scaled(50), 20),
                  [](std::size_t n)
                  {
                      const std::filesystem::path path =
                          std::filesystem::temp_directory_path() /
                          ("weft_unit_" + std::to_string(::getpid()) + "_" + std::to_string(n));
                      std::ofstream(path) << "line " << n << '\n';
                      weft::yield();
                      std::string line;
                      std::getline(std::ifstream(path) >> std::ws, line);
                      std::filesystem::remove(path);
                      return line == "line " + std::to_string(n);
                  });
}

WEFT_TEST(stdlib_test, allocations_large_and_small)
{
    in_goroutines(scaled(300),
                  [](std::size_t n)
                  {
                      std::vector<std::unique_ptr<char[]>> blocks;
                      for (std::size_t i = 0; i < 50; ++i) {
                          blocks.push_back(std::make_unique<char[]>((i * 977 + n) % 5'000 + 1));
                          blocks.back()[0] = static_cast<char>(i);
                          weft::yield();
                      }
                      for (std::size_t i = 0; i < blocks.size(); ++i)
                          if (blocks[i][0] != static_cast<char>(i))
                              return false;
                      return true;
                  });
}

// Threads' own locks work between goroutines as long as they are not held over a park.
WEFT_TEST(stdlib_test, a_std_mutex_not_held_over_a_park)
{
    std::mutex m;
    std::size_t sum = 0;
    in_goroutines(scaled(500),
                  [&](std::size_t)
                  {
                      for (int i = 0; i < 20; ++i) {
                          {
                              const std::lock_guard guard(m);
                              ++sum;
                          }
                          weft::yield();
                      }
                      return true;
                  });
    EXPECT_EQ(sum, scaled(500) * 20);
}

WEFT_TEST(stdlib_test, threads_are_started_and_joined)
{
    in_goroutines(10,
                  [](std::size_t n)
                  {
                      std::size_t result = 0;
                      std::thread t([&] { result = n + 1; });
                      t.join();
                      weft::yield();
                      return result == n + 1;
                  });
}

}  // namespace
