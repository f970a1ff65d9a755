// base::fifo against a model of it.
#include "base/list.hpp"

#include <gtest/gtest.h>

#include <array>
#include <deque>

#include "../../support/rng.hpp"

namespace {

struct item {
    int number = 0;
    item* next = nullptr;
};
using fifo = weft::base::fifo<item, &item::next>;

void expect_same(const fifo& list, const std::deque<item*>& model)
{
    ASSERT_EQ(list.size(), model.size());
    ASSERT_EQ(list.empty(), model.empty());
    ASSERT_EQ(list.front(), model.empty() ? nullptr : model.front());
    const item* at = list.front();
    for (const item* expected : model) {
        ASSERT_EQ(at, expected);
        at = at->next;
    }
    ASSERT_EQ(at, nullptr);
}

TEST(list_test, begins_empty)
{
    fifo list;
    expect_same(list, {});
    EXPECT_EQ(list.pop_front(), nullptr);
    expect_same(list, {});
}

TEST(list_test, appends_an_empty_list)
{
    item a;
    fifo list;
    fifo none;
    list.append(none);
    expect_same(list, {});
    list.push_back(&a);
    list.append(none);
    expect_same(list, {&a});
    none.append(list);
    expect_same(none, {&a});
    expect_same(list, {});
}

TEST(list_test, behaves_as_a_deque)
{
    weft::test::rng r(1);
    std::array<item, 40> items;
    std::deque<item*> unused;
    for (item& i : items)
        unused.push_back(&i);
    fifo list;
    fifo second;
    std::deque<item*> model;
    std::deque<item*> second_model;
    const auto take_unused = [&]
    {
        item* const i = unused.front();
        unused.pop_front();
        return i;
    };
    for (int step = 0; step < 20'000; ++step) {
        switch (r.below(6)) {
            case 0:
                if (!unused.empty()) {
                    item* const i = take_unused();
                    list.push_back(i);
                    model.push_back(i);
                }
                break;
            case 1:
                if (!unused.empty()) {
                    item* const i = take_unused();
                    list.push_front(i);
                    model.push_front(i);
                }
                break;
            case 2:
                if (item* const i = list.pop_front()) {
                    ASSERT_EQ(i, model.front());
                    ASSERT_EQ(i->next, nullptr);
                    model.pop_front();
                    unused.push_back(i);
                }
                break;
            case 3:
                if (!unused.empty()) {
                    item* const i = take_unused();
                    second.push_back(i);
                    second_model.push_back(i);
                }
                break;
            case 4:
                if (r.one_in(10)) {
                    list.append(second);
                    model.insert(model.end(), second_model.begin(), second_model.end());
                    second_model.clear();
                }
                break;
            default:
                if (!model.empty()) {
                    const std::size_t at = r.below(model.size());
                    list.erase_after(at == 0 ? nullptr : model[at - 1], model[at]);
                    unused.push_back(model[at]);
                    model.erase(model.begin() + static_cast<std::ptrdiff_t>(at));
                }
        }
        expect_same(list, model);
        expect_same(second, second_model);
    }
}

}  // namespace
