// sys/context.hpp: switching stacks by hand, and exceptions on them.
#include "sys/context.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <vector>

#include "../../support/scale.hpp"
#include "rt/stack/stack.hpp"
#include "sys/sanitizer.hpp"

namespace {

using weft::sys::context;

// A second stack, entered and left by turns.
class coroutine {
public:
    template <class F>
    explicit coroutine(F& body) : body_([](void* f, coroutine& c) { (*static_cast<F*>(f))(c); }), argument_(&body)
    {
        top_ = weft::rt::take_stack(cls);
        fiber_ = weft::sys::new_fiber();
        weft::sys::make_context(inside_, weft::rt::first_frame(top_, cls), &entry);
    }
    coroutine(const coroutine&) = delete;
    coroutine& operator=(const coroutine&) = delete;
    ~coroutine()
    {
        weft::sys::delete_fiber(fiber_);
        weft::rt::give_stack(top_, cls);
    }
    /// Runs the body until its next leave() or its end. False: it has ended.
    bool enter()
    {
        void* fake = nullptr;
        outer_fiber_ = weft::sys::this_fiber();
        weft::sys::before_switch(&fake, top_ - weft::rt::stack_bytes(cls), weft::rt::stack_bytes(cls), fiber_);
        weft::sys::switch_context(&outside_, &inside_, this);
        weft::sys::after_switch(fake);
        return !ended_;
    }
    /// Back to enter()'s caller.
    void leave(bool for_good = false)
    {
        void* fake = nullptr;
        ended_ = for_good;
        weft::sys::before_switch(for_good ? nullptr : &fake, outer_low_, outer_size_, outer_fiber_);
        weft::sys::switch_context(&inside_, &outside_, nullptr);
        weft::sys::after_switch(fake);
    }

private:
    static constexpr unsigned cls = 3;

    static void entry(void* argument)
    {
        auto& self = *static_cast<coroutine*>(argument);
#ifdef WEFT_ASAN
        __sanitizer_finish_switch_fiber(nullptr, &self.outer_low_, &self.outer_size_);
#endif
        self.body_(self.argument_, self);
        self.leave(true);
    }

    void (*body_)(void*, coroutine&);
    void* argument_;
    char* top_ = nullptr;
    void* fiber_ = nullptr;
    void* outer_fiber_ = nullptr;
    const void* outer_low_ = nullptr;
    std::size_t outer_size_ = 0;
    context inside_{};
    context outside_{};
    bool ended_ = false;
};

TEST(switch_test, goes_there_and_back)
{
    int steps = 0;
    auto body = [&](coroutine& c)
    {
        ++steps;
        c.leave();
        ++steps;
        c.leave();
        ++steps;
    };
    coroutine c(body);
    EXPECT_TRUE(c.enter());
    EXPECT_EQ(steps, 1);
    EXPECT_TRUE(c.enter());
    EXPECT_EQ(steps, 2);
    EXPECT_FALSE(c.enter());
    EXPECT_EQ(steps, 3);
}

TEST(switch_test, the_stack_is_aligned_at_its_first_function)
{
    std::uintptr_t frame = 1;
    auto body = [&](coroutine&)
    {
        alignas(16) std::array<char, 16> local{};
        frame = reinterpret_cast<std::uintptr_t>(local.data());
        asm volatile("" : "+r"(frame));
    };
    coroutine c(body);
    c.enter();
    EXPECT_EQ(frame % 16, 0U);
}

// More live values than any target has registers, whole and floating, on both sides of the switch.
TEST(switch_test, live_values_survive)
{
    auto body = [](coroutine& c)
    {
        for (std::uint64_t round = 0;; ++round) {
            std::array<std::uint64_t, 20> whole{};
            std::array<double, 20> real{};
            for (std::size_t i = 0; i < 20; ++i) {
                whole[i] = ~round * (i + 3);
                real[i] = static_cast<double>(round + i) * 1.25;
            }
            c.leave();
            for (std::size_t i = 0; i < 20; ++i) {
                ASSERT_EQ(whole[i], ~round * (i + 3));
                ASSERT_DOUBLE_EQ(real[i], static_cast<double>(round + i) * 1.25);
            }
        }
    };
    coroutine c(body);
    for (std::uint64_t round = 0; round < 1'000; ++round) {
        std::array<std::uint64_t, 20> whole{};
        std::array<double, 20> real{};
        for (std::size_t i = 0; i < 20; ++i) {
            whole[i] = round * 31 + i;
            real[i] = static_cast<double>(round) / static_cast<double>(i + 1);
        }
        ASSERT_TRUE(c.enter());
        for (std::size_t i = 0; i < 20; ++i) {
            ASSERT_EQ(whole[i], round * 31 + i);
            ASSERT_DOUBLE_EQ(real[i], static_cast<double>(round) / static_cast<double>(i + 1));
        }
    }
}

TEST(switch_test, exceptions_are_caught_on_a_new_stack)
{
    int caught = 0;
    auto body = [&](coroutine& c)
    {
        for (int i = 0; i < 3; ++i) {
            try {
                c.leave();
                throw std::runtime_error("on its own stack");
            } catch (const std::runtime_error&) {
                ++caught;
            }
        }
    };
    coroutine c(body);
    while (c.enter()) {
    }
    EXPECT_EQ(caught, 3);
}

TEST(switch_test, many_stacks_interleave)
{
    constexpr std::size_t count = 50;
    std::array<int, count> steps{};
    struct stepper {
        int* steps;
        void operator()(coroutine& c) const
        {
            for (int i = 0; i < 10; ++i) {
                ++*steps;
                c.leave();
            }
        }
    };
    std::vector<stepper> bodies;
    std::vector<std::unique_ptr<coroutine>> all;
    bodies.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
        bodies.push_back({&steps[i]});
        all.push_back(std::make_unique<coroutine>(bodies[i]));
    }
    for (int round = 1; round <= 10; ++round) {
        for (std::size_t i = 0; i < count; ++i) {
            ASSERT_TRUE(all[i]->enter());
            ASSERT_EQ(steps[i], round);
        }
    }
    for (auto& c : all)
        EXPECT_FALSE(c->enter());
}

}  // namespace
