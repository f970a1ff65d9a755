// An intrusive singly linked FIFO, counted.
#pragma once

#include <cstddef>

namespace weft::base {

/// `Next` is the member that links. An element is in at most one list by that member.
template <class T, T* T::* Next>
class fifo {
public:
    [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] T* front() const noexcept { return head_; }

    void push_back(T* item) noexcept
    {
        item->*Next = nullptr;
        if (head_ == nullptr)
            head_ = item;
        else
            tail_->*Next = item;
        tail_ = item;
        ++size_;
    }
    void push_front(T* item) noexcept
    {
        item->*Next = head_;
        if (head_ == nullptr)
            tail_ = item;
        head_ = item;
        ++size_;
    }
    T* pop_front() noexcept
    {
        T* const item = head_;
        if (item != nullptr) {
            head_ = item->*Next;
            if (head_ == nullptr)
                tail_ = nullptr;
            item->*Next = nullptr;
            --size_;
        }
        return item;
    }
    /// Moves all of `other` behind what is here.
    void append(fifo& other) noexcept
    {
        if (other.head_ == nullptr)
            return;
        if (head_ == nullptr)
            head_ = other.head_;
        else
            tail_->*Next = other.head_;
        tail_ = other.tail_;
        size_ += other.size_;
        other = fifo();
    }
    /// Takes out `item`, which follows `before` (null: it is the first).
    void erase_after(T* before, T* item) noexcept
    {
        T* const after = item->*Next;
        if (before == nullptr)
            head_ = after;
        else
            before->*Next = after;
        if (tail_ == item)
            tail_ = before;
        item->*Next = nullptr;
        --size_;
    }

private:
    T* head_ = nullptr;
    T* tail_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace weft::base
