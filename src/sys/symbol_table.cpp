#include "sys/symbol_table.hpp"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/atomic.hpp"
#include "sys/keep_errno.hpp"

namespace weft::sys {

namespace {

/// A file in memory, for ever once it is in the table of known ones.
class file_view {
public:
    [[nodiscard]] bool open(const char* path) noexcept
    {
        const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return false;
        struct stat facts = {};
        if (fstat(fd, &facts) == 0 && facts.st_size > 0) {
            void* const at = mmap(nullptr, static_cast<std::size_t>(facts.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
            if (at != MAP_FAILED)
                bytes_ = {static_cast<const char*>(at), static_cast<std::size_t>(facts.st_size)};
        }
        ::close(fd);
        return !bytes_.empty();
    }
    void close() noexcept
    {
        if (!bytes_.empty())
            munmap(const_cast<char*>(bytes_.data()), bytes_.size());
        bytes_ = {};
    }
    /// `count` of T at `offset`; empty: not in the file, or not aligned.
    template <class T>
    [[nodiscard]] std::span<const T> at(std::uint64_t offset, std::uint64_t count) const noexcept
    {
        if (offset % alignof(T) != 0 || offset > bytes_.size() || count > (bytes_.size() - offset) / sizeof(T))
            return {};
        return {reinterpret_cast<const T*>(bytes_.data() + offset), static_cast<std::size_t>(count)};
    }

private:
    std::span<const char> bytes_;
};

/// The functions of an object.
struct symbol_table {
    std::span<const ElfW(Sym)> symbols;
    std::span<const char> names;  ///< the last one is 0

    /// `what`: SHT_SYMTAB or SHT_DYNSYM.
    [[nodiscard]] bool find(const file_view& file, const ElfW(Ehdr) & head, std::uint32_t what) noexcept
    {
        const auto sections = file.at<ElfW(Shdr)>(head.e_shoff, head.e_shnum);
        for (const ElfW(Shdr) & section : sections) {
            if (section.sh_type != what || section.sh_link >= sections.size())
                continue;
            const ElfW(Shdr)& strings = sections[section.sh_link];
            symbols = file.at<ElfW(Sym)>(section.sh_offset, section.sh_size / sizeof(ElfW(Sym)));
            names = file.at<char>(strings.sh_offset, strings.sh_size);
            return !symbols.empty() && !names.empty() && names.back() == '\0';
        }
        return false;
    }
};

bool covers(const ElfW(Sym) & symbol, std::uintptr_t offset) noexcept
{
    const unsigned type = symbol.st_info & 0xfU;
    return (type == STT_FUNC || type == STT_GNU_IFUNC) && symbol.st_shndx != SHN_UNDEF &&
           offset - symbol.st_value < symbol.st_size;
}

/// An object of the process: made once, by the first look-up there, and never changed again.
class object {
public:
    /// False: it is another one's, or is just being made.
    [[nodiscard]] bool is(std::uintptr_t base) const noexcept
    {
        return base_.load(base::memory_order_acquire) == base && made_.load(base::memory_order_acquire);
    }
    /// True: the caller has it and calls make().
    [[nodiscard]] bool claim(std::uintptr_t base) noexcept
    {
        std::uintptr_t none = 0;
        return base_.compare_exchange_strong(none, base, base::memory_order_acq_rel, base::memory_order_relaxed);
    }
    void make(const char* path, const void* mapped) noexcept
    {
        const keep_errno kept;
        file_view file;
        if (file.open(path) && !read(file, mapped))
            file.close();
        made_.store(true, base::memory_order_release);  // pairs with is()
    }
    /// Null also where another object has taken its place in memory since.
    [[nodiscard]] const char* name_at(std::uintptr_t offset, const void* mapped) const noexcept
    {
        if (head_ == nullptr || std::memcmp(head_, mapped, sizeof *head_) != 0)
            return nullptr;
        base::atomic<const ElfW(Sym)*>& recent = recent_[offset / 4 % recent_.size()];
        const ElfW(Sym)* found = recent.load(base::memory_order_relaxed);
        if (found == nullptr || !covers(*found, offset)) {
            found = nullptr;
            for (const ElfW(Sym) & symbol : table_.symbols) {
                if (covers(symbol, offset)) {
                    found = &symbol;
                    break;
                }
            }
            if (found == nullptr || found->st_name >= table_.names.size())
                return nullptr;
            recent.store(found, base::memory_order_relaxed);
        }
        return table_.names.data() + found->st_name;
    }

private:
    /// `mapped`: where the process has the file's beginning, which tells whether the file is still the same.
    [[nodiscard]] bool read(const file_view& file, const void* mapped) noexcept
    {
        const auto head = file.at<ElfW(Ehdr)>(0, 1);
        if (head.empty() || std::memcmp(head.data(), mapped, sizeof(ElfW(Ehdr))) != 0 ||
            head[0].e_shentsize != sizeof(ElfW(Shdr)))
            return false;
        symbol_table found;
        if (!found.find(file, head[0], SHT_SYMTAB) && !found.find(file, head[0], SHT_DYNSYM))
            return false;
        table_ = found;
        head_ = head.data();
        return true;
    }

    base::atomic<std::uintptr_t> base_{0};  ///< where it is mapped; 0: free
    base::atomic<bool> made_{false};
    symbol_table table_;
    const ElfW(Ehdr) * head_ = nullptr;                                 ///< null: nothing is known
    mutable std::array<base::atomic<const ElfW(Sym)*>, 256> recent_{};  ///< what was found, by address
};

/// Objects beyond these have the names that dladdr() finds.
std::array<object, 32> objects;

const object* object_at(const Dl_info& info, const link_map& map) noexcept
{
    const auto base = reinterpret_cast<std::uintptr_t>(info.dli_fbase);
    for (object& one : objects) {
        if (one.is(base))
            return &one;
        if (one.claim(base)) {
            one.make(map.l_name[0] == '\0' ? "/proc/self/exe" : map.l_name, info.dli_fbase);
            return &one;
        }
    }
    return nullptr;
}

}  // namespace

const char* symbol_at(const void* address) noexcept
{
    Dl_info info{};
    void* extra = nullptr;
    if (dladdr1(address, &info, &extra, RTLD_DL_LINKMAP) == 0 || extra == nullptr || info.dli_fbase == nullptr)
        return nullptr;
    const auto& map = *static_cast<const link_map*>(extra);
    const std::uintptr_t offset = reinterpret_cast<std::uintptr_t>(address) - map.l_addr;
    const object* const of = object_at(info, map);
    const char* const name = of != nullptr ? of->name_at(offset, info.dli_fbase) : nullptr;
    return name != nullptr ? name : info.dli_sname;
}

bool is_static(const void* address) noexcept
{
    Dl_info info{};
    return dladdr(address, &info) != 0;
}

}  // namespace weft::sys
