// Exceptions are per goroutine: caught exceptions, the count of those in flight, and nested handlers stay what they
// were over every park, also when the goroutine goes on on another thread meanwhile.
#include <atomic>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "fixture.hpp"

namespace {

using exception_test = weft::test::fixture;
using weft::test::counted;
using weft::test::eventually;
using weft::test::procs;
using weft::test::scaled;

struct marked : counted {
    int mark;
    explicit marked(int m) : mark(m) {}
};

// Something that throws and catches, in another goroutine and on the way.
void disturb()
{
    weft::go(
        []
        {
            try {
                throw std::runtime_error("a stranger's");
            } catch (const std::runtime_error&) {
                weft::yield();
            }
        });
    weft::yield();
}

[[gnu::noinline]] int current_mark()
{
    const std::exception_ptr current = std::current_exception();
    if (!current)
        return -1;
    try {
        std::rethrow_exception(current);
    } catch (const marked& m) {
        return m.mark;
    } catch (...) {
        return -2;
    }
}

// Runs `body(goroutine)` in many goroutines on four Ps beside goroutines that throw and catch; returns the sum of what
// it returns: the number of errors.
template <class Body>
int errors_in_many(Body body)
{
    const procs four(4);
    std::atomic<int> errors{0};
    std::atomic<bool> stop{false};
    weft::wait_group strangers;
    for (int i = 0; i < 4; ++i) {
        strangers.go(
            [&]
            {
                while (!stop) {
                    try {
                        throw marked(-7);
                    } catch (const marked&) {
                        weft::yield();
                    }
                    weft::yield();
                }
            });
    }
    weft::wait_group all;
    for (int g = 0; g < 40; ++g)
        all.go([&, g] { errors += body(g); });
    all.wait();
    stop = true;
    strangers.wait();
    return errors;
}

WEFT_TEST(exception_test, are_caught_where_they_are_thrown)
{
    EXPECT_EQ(errors_in_many(
                  [](int g)
                  {
                      int errors = 0;
                      for (std::size_t i = 0; i < scaled(500); ++i) {
                          try {
                              weft::yield();
                              throw marked(g);
                          } catch (const marked& m) {
                              errors += m.mark == g ? 0 : 1;
                          }
                      }
                      return errors;
                  }),
              0);
    EXPECT_EQ(counted::alive, 0);
}

WEFT_TEST(exception_test, a_handler_may_park)
{
    EXPECT_EQ(errors_in_many(
                  [](int g)
                  {
                      int errors = 0;
                      for (std::size_t i = 0; i < scaled(300); ++i) {
                          try {
                              throw marked(g);
                          } catch (const marked& m) {
                              weft::yield();
                              errors += m.mark == g ? 0 : 1;
                              errors += current_mark() == g ? 0 : 1;
                              disturb();
                              errors += current_mark() == g ? 0 : 1;
                          }
                          errors += std::current_exception() == nullptr ? 0 : 1;
                      }
                      return errors;
                  }),
              0);
    EXPECT_TRUE(eventually([] { return counted::alive == 0; }));
}

WEFT_TEST(exception_test, rethrown_after_a_park)
{
    EXPECT_EQ(errors_in_many(
                  [](int g)
                  {
                      int errors = 0;
                      for (std::size_t i = 0; i < scaled(300); ++i) {
                          try {
                              try {
                                  throw marked(g);
                              } catch (...) {
                                  weft::yield();
                                  throw;
                              }
                          } catch (const marked& m) {
                              weft::yield();
                              errors += m.mark == g ? 0 : 1;
                          }
                      }
                      return errors;
                  }),
              0);
    EXPECT_EQ(counted::alive, 0);
}

WEFT_TEST(exception_test, nested_handlers_park)
{
    EXPECT_EQ(errors_in_many(
                  [](int g)
                  {
                      int errors = 0;
                      for (std::size_t i = 0; i < scaled(200); ++i) {
                          try {
                              throw marked(g);
                          } catch (const marked&) {
                              weft::yield();
                              try {
                                  throw marked(g + 1'000);
                              } catch (const marked&) {
                                  weft::yield();
                                  try {
                                      throw marked(g + 2'000);
                                  } catch (const marked&) {
                                      weft::yield();
                                      errors += current_mark() == g + 2'000 ? 0 : 1;
                                  }
                                  weft::yield();
                                  errors += current_mark() == g + 1'000 ? 0 : 1;
                              }
                              weft::yield();
                              errors += current_mark() == g ? 0 : 1;
                          }
                          errors += std::current_exception() == nullptr ? 0 : 1;
                      }
                      return errors;
                  }),
              0);
    EXPECT_EQ(counted::alive, 0);
}

struct parks_while_unwinding {
    int expected_in_flight;
    int* errors;
    ~parks_while_unwinding()
    {
        *errors += std::uncaught_exceptions() == expected_in_flight ? 0 : 1;
        weft::yield();
        *errors += std::uncaught_exceptions() == expected_in_flight ? 0 : 1;
        try {
            throw marked(5'000);
        } catch (const marked& m) {
            weft::yield();
            *errors += m.mark == 5'000 ? 0 : 1;
            *errors += std::uncaught_exceptions() == expected_in_flight ? 0 : 1;
        }
        *errors += std::uncaught_exceptions() == expected_in_flight ? 0 : 1;
    }
};

WEFT_TEST(exception_test, destructors_park_while_unwinding)
{
    EXPECT_EQ(errors_in_many(
                  [](int g)
                  {
                      int errors = 0;
                      for (std::size_t i = 0; i < scaled(200); ++i) {
                          errors += std::uncaught_exceptions();
                          try {
                              const parks_while_unwinding outer{1, &errors};
                              const parks_while_unwinding inner{1, &errors};
                              throw marked(g);
                          } catch (const marked& m) {
                              errors += m.mark == g ? 0 : 1;
                          }
                          const parks_while_unwinding without{0, &errors};
                      }
                      return errors;
                  }),
              0);
    EXPECT_EQ(counted::alive, 0);
}

// An exception leaves a try block inside a destructor that itself runs for another exception, with parks at each level.
WEFT_TEST(exception_test, exceptions_in_flight_nest)
{
    struct throws_inside {
        int depth;
        int* errors;
        ~throws_inside()
        {
            *errors += std::uncaught_exceptions() == depth ? 0 : 1;
            weft::yield();
            try {
                if (depth < 5) {
                    const throws_inside next{depth + 1, errors};
                    throw marked(depth);
                }
            } catch (const marked& m) {
                weft::yield();
                *errors += m.mark == depth ? 0 : 1;
            }
            weft::yield();
            *errors += std::uncaught_exceptions() == depth ? 0 : 1;
        }
    };
    EXPECT_EQ(errors_in_many(
                  [](int)
                  {
                      int errors = 0;
                      for (std::size_t i = 0; i < scaled(100); ++i) {
                          try {
                              const throws_inside first{1, &errors};
                              throw marked(0);
                          } catch (const marked& m) {
                              errors += m.mark == 0 ? 0 : 1;
                          }
                      }
                      return errors;
                  }),
              0);
    EXPECT_EQ(counted::alive, 0);
}

WEFT_TEST(exception_test, survive_a_migration_inside_a_handler)
{
    const procs four(4);
    int moves = 0;
    for (std::size_t i = 0; i < scaled(60); ++i) {
        const int mark = static_cast<int>(i);
        try {
            try {
                throw marked(mark);
            } catch (const marked&) {
                moves += weft::test::migrate() ? 1 : 0;
                ASSERT_EQ(current_mark(), mark);
                try {
                    throw marked(mark + 1);
                } catch (const marked&) {
                    moves += weft::test::migrate() ? 1 : 0;
                    ASSERT_EQ(current_mark(), mark + 1);
                }
                moves += weft::test::migrate() ? 1 : 0;
                throw;
            }
        } catch (const marked& m) {
            ASSERT_EQ(m.mark, mark);
        }
        ASSERT_EQ(std::uncaught_exceptions(), 0);
        ASSERT_EQ(std::current_exception(), nullptr);
    }
    EXPECT_GT(moves, 0);
    EXPECT_EQ(counted::alive, 0);
}

WEFT_TEST(exception_test, survive_a_migration_while_unwinding)
{
    const procs four(4);
    struct moves_away {
        int* moves;
        int* wrong;
        ~moves_away()
        {
            *moves += weft::test::migrate() ? 1 : 0;
            *wrong += std::uncaught_exceptions() == 1 ? 0 : 1;
        }
    };
    int moves = 0;
    int wrong = 0;
    for (std::size_t i = 0; i < scaled(60); ++i) {
        try {
            const moves_away m{&moves, &wrong};
            throw marked(3);
        } catch (const marked& m) {
            ASSERT_EQ(m.mark, 3);
        }
        ASSERT_EQ(std::uncaught_exceptions(), 0);
    }
    EXPECT_GT(moves, 0);
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(counted::alive, 0);
}

// A new goroutine starts with a clean slate, even when its starter is inside a handler or unwinding.
WEFT_TEST(exception_test, a_new_goroutine_has_none)
{
    int wrong = 0;
    struct starts_one {
        int* wrong;
        ~starts_one()
        {
            *wrong += weft::async([] { return std::uncaught_exceptions(); }).get();
        }
    };
    try {
        const starts_one s{&wrong};
        throw marked(1);
    } catch (const marked&) {
        wrong += weft::async([] { return std::current_exception() == nullptr ? 0 : 1; }).get();
    }
    EXPECT_EQ(wrong, 0);
}

// A goroutine that ends inside a handler leaves nothing to the one that runs next on its thread and stack.
WEFT_TEST(exception_test, end_with_their_goroutine)
{
    const procs one(1);
    std::atomic<int> wrong{0};
    weft::wait_group all;
    for (std::size_t i = 0; i < scaled(1'000); ++i) {
        all.go(
            [&]
            {
                wrong += std::current_exception() == nullptr ? 0 : 1;
                wrong += std::uncaught_exceptions();
                try {
                    throw marked(1);
                } catch (const marked&) {
                    weft::exit_goroutine();
                }
            });
    }
    all.wait();
    EXPECT_EQ(wrong, 0);
    EXPECT_TRUE(eventually([] { return counted::alive == 0; }));
}

TEST_F(exception_test, of_a_plain_thread_are_left_alone)
{
    try {
        throw marked(9);
    } catch (const marked&) {
        auto f = weft::async(
            []
            {
                try {
                    throw marked(10);
                } catch (const marked& m) {
                    weft::yield();
                    return m.mark;
                }
            });
        EXPECT_EQ(f.get(), 10);
        EXPECT_EQ(current_mark(), 9);
    }
}

WEFT_TEST(exception_test, thrown_deep_and_caught_high)
{
    struct recursion {
        [[gnu::noinline]] static int down(int depth)
        {
            const counted here;
            if (depth == 0)
                throw marked(depth);
            if (depth % 10 == 0)
                weft::yield();
            return down(depth - 1) + 1;
        }
    };
    EXPECT_EQ(errors_in_many(
                  [](int)
                  {
                      int errors = 0;
                      for (std::size_t i = 0; i < scaled(50); ++i) {
                          try {
                              errors += recursion::down(100);
                          } catch (const marked& m) {
                              errors += m.mark;
                          }
                      }
                      return errors;
                  }),
              0);
    EXPECT_EQ(counted::alive, 0);
}

}  // namespace
