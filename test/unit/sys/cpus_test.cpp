#include "sys/cpus.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

namespace {

namespace fs = std::filesystem;
using weft::sys::cpu_limits;
using weft::sys::read_cpu_limits;

constexpr double none = std::numeric_limits<double>::infinity();

/// A directory that stands for "/", removed at the end.
class fake_root {
public:
    fake_root()
    {
        std::string name = (fs::temp_directory_path() / "weft_cpus_XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr)
            throw std::system_error(errno, std::generic_category(), "mkdtemp");
        root_ = name;
    }
    fake_root(const fake_root&) = delete;
    fake_root& operator=(const fake_root&) = delete;
    ~fake_root()
    {
        std::error_code ignored;
        fs::remove_all(root_, ignored);
    }

    fake_root& file(std::string_view path, std::string_view text)
    {
        const fs::path full = root_ + std::string(path);
        fs::create_directories(full.parent_path());
        std::ofstream out(full, std::ios::binary);
        out << text;
        if (!out.flush())
            throw std::runtime_error("cannot write " + full.string());
        return *this;
    }
    fake_root& cgroup(std::string_view text) { return file("/proc/self/cgroup", text); }
    fake_root& mountinfo(std::string_view text) { return file("/proc/self/mountinfo", text); }
    fake_root& v1_limit(const std::string& directory, std::string_view quota, std::string_view period)
    {
        file(directory + "/cpu.cfs_quota_us", quota);
        return file(directory + "/cpu.cfs_period_us", period);
    }
    [[nodiscard]] double quota() const { return limits().quota; }
    [[nodiscard]] cpu_limits limits() const { return read_cpu_limits(root_.c_str()); }
    [[nodiscard]] const std::string& path() const { return root_; }

private:
    std::string root_;
};

constexpr std::string_view v2_mount =
    "24 30 0:22 / /proc rw,nosuid - proc proc rw\n"
    "29 30 0:26 / /sys/fs/cgroup rw,nosuid,nodev shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
constexpr std::string_view v1_mounts =
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 master:2 - cgroup cgroup rw,cpu,cpuacct\n"
    "34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n"
    "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n";

TEST(cpus, the_real_machine_gives_something_sensible)
{
    const cpu_limits limits = read_cpu_limits();
    EXPECT_GE(limits.affinity, 1);
    EXPECT_GT(limits.quota, 0);
    EXPECT_GE(limits.cpus, 1);
    EXPECT_LE(limits.cpus, limits.affinity);
    EXPECT_EQ(weft::sys::usable_cpus(), limits.cpus);
}

TEST(cpus, affinity_is_that_of_the_calling_thread)
{
    int narrowed = 0;
    std::thread(
        [&]
        {
            // One CPU out of those allowed. 8,192 bits are as many as any kernel has.
            std::vector<cpu_set_t> mask(8);
            const std::size_t bytes = mask.size() * sizeof(cpu_set_t);
            if (::sched_getaffinity(0, bytes, mask.data()) != 0)
                return;
            bool kept = false;
            for (std::size_t cpu = 0; cpu < 8 * bytes; ++cpu) {
                if (CPU_ISSET_S(cpu, bytes, mask.data())) {
                    if (kept)
                        CPU_CLR_S(cpu, bytes, mask.data());
                    kept = true;
                }
            }
            if (::sched_setaffinity(0, bytes, mask.data()) == 0)
                narrowed = weft::sys::usable_cpus();
        })
        .join();
    EXPECT_EQ(narrowed, 1);
}

TEST(cpus, no_files_no_limit)
{
    const fake_root root;
    EXPECT_EQ(root.quota(), none);
    EXPECT_EQ(root.limits().cpus, root.limits().affinity);
}

TEST(cpus, a_root_that_does_not_exist)
{
    EXPECT_EQ(read_cpu_limits("/nonexistent/weft").quota, none);
}

TEST(cpus, one_of_the_two_proc_files_is_missing)
{
    fake_root no_mounts;
    no_mounts.cgroup("0::/a\n").file("/sys/fs/cgroup/a/cpu.max", "50000 100000\n");
    EXPECT_EQ(no_mounts.quota(), none);
    fake_root no_cgroup;
    no_cgroup.mountinfo(v2_mount).file("/sys/fs/cgroup/cpu.max", "50000 100000\n");
    EXPECT_EQ(no_cgroup.quota(), none);
}

TEST(cpus, a_proc_file_that_cannot_be_read)
{
    fake_root root;
    fs::create_directories(root.path() + "/proc/self/cgroup");  // read() of a directory fails
    root.mountinfo(v2_mount);
    EXPECT_EQ(root.quota(), none);
}

TEST(cpus, v2_own_group)
{
    fake_root root;
    root.cgroup("0::/user.slice/app.scope\n").mountinfo(v2_mount);
    root.file("/sys/fs/cgroup/user.slice/app.scope/cpu.max", "150000 100000\n");
    EXPECT_DOUBLE_EQ(root.quota(), 1.5);
    EXPECT_EQ(root.limits().cpus, std::min(root.limits().affinity, 2));
}

TEST(cpus, v2_max_is_no_limit)
{
    fake_root root;
    root.cgroup("0::/a\n").mountinfo(v2_mount).file("/sys/fs/cgroup/a/cpu.max", "max 100000\n");
    EXPECT_EQ(root.quota(), none);
}

TEST(cpus, v2_the_least_of_all_ancestors_counts)
{
    fake_root root;
    root.cgroup("0::/a/b/c\n").mountinfo(v2_mount);
    root.file("/sys/fs/cgroup/a/b/c/cpu.max", "800000 100000\n");
    root.file("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    root.file("/sys/fs/cgroup/a/cpu.max", "125000 50000\n");
    EXPECT_DOUBLE_EQ(root.quota(), 2.5);
    root.file("/sys/fs/cgroup/a/b/cpu.max", "100000 100000\n");
    EXPECT_DOUBLE_EQ(root.quota(), 1.0);
    root.file("/sys/fs/cgroup/a/b/c/cpu.max", "1000 100000\n");
    EXPECT_DOUBLE_EQ(root.quota(), 0.01);
}

TEST(cpus, v2_a_sibling_or_a_child_does_not_count)
{
    fake_root root;
    root.cgroup("0::/a/b\n").mountinfo(v2_mount);
    root.file("/sys/fs/cgroup/a/b/child/cpu.max", "10000 100000\n");
    root.file("/sys/fs/cgroup/a/c/cpu.max", "10000 100000\n");
    root.file("/sys/fs/cgroup/a/bb/cpu.max", "10000 100000\n");
    root.file("/sys/fs/cgroup/a/b/cpu.max", "300000 100000\n");
    EXPECT_DOUBLE_EQ(root.quota(), 3.0);
}

TEST(cpus, v2_gaps_in_the_chain_are_passed_over)
{
    fake_root root;
    root.cgroup("0::/a/b/gone (deleted)\n").mountinfo(v2_mount);
    root.file("/sys/fs/cgroup/a/cpu.max", "400000 100000\n");
    EXPECT_DOUBLE_EQ(root.quota(), 4.0);
}

TEST(cpus, v2_in_a_cgroup_namespace_our_group_is_the_root)
{
    fake_root root;
    root.cgroup("0::/\n").mountinfo(v2_mount).file("/sys/fs/cgroup/cpu.max", "50000 100000\n");
    EXPECT_DOUBLE_EQ(root.quota(), 0.5);
    EXPECT_EQ(root.limits().cpus, 1);
}

TEST(cpus, v2_nested_namespace_with_a_group_below)
{
    fake_root root;
    root.cgroup("0::/inner/leaf\n").mountinfo(v2_mount);
    root.file("/sys/fs/cgroup/cpu.max", "200000 100000\n");
    root.file("/sys/fs/cgroup/inner/cpu.max", "max 100000\n");
    root.file("/sys/fs/cgroup/inner/leaf/cpu.max", "700000 100000\n");
    EXPECT_DOUBLE_EQ(root.quota(), 2.0);
}

TEST(cpus, v2_bind_mount_of_our_own_group)
{
    fake_root root;
    root.cgroup("0::/system.slice/docker-1.scope\n");
    root.mountinfo("29 30 0:26 /system.slice/docker-1.scope /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
    root.file("/sys/fs/cgroup/cpu.max", "250000 100000\n");
    EXPECT_DOUBLE_EQ(root.quota(), 2.5);
}

TEST(cpus, v2_bind_mount_of_an_ancestor)
{
    fake_root root;
    root.cgroup("0::/pods/pod1/box/leaf\n");
    root.mountinfo("29 30 0:26 /pods/pod1 /cg rw - cgroup2 cgroup rw\n");
    root.file("/cg/cpu.max", "900000 100000\n");
    root.file("/cg/box/cpu.max", "300000 100000\n");
    root.file("/cg/box/leaf/cpu.max", "max 100000\n");
    EXPECT_DOUBLE_EQ(root.quota(), 3.0);
}

TEST(cpus, v2_bind_mount_of_a_group_that_is_not_ours)
{
    fake_root root;
    root.cgroup("0::/pods/pod10/box\n");
    root.mountinfo(
        "29 30 0:26 /pods/pod1 /one rw - cgroup2 cgroup rw\n"
        "30 30 0:26 /pods/pod10/box/child /two rw - cgroup2 cgroup rw\n"
        "31 30 0:26 /elsewhere /three rw - cgroup2 cgroup rw\n");
    for (const char* file : {"/one/cpu.max", "/one/box/cpu.max", "/two/cpu.max", "/three/cpu.max"})
        root.file(file, "100000 100000\n");
    EXPECT_EQ(root.quota(), none);
}

TEST(cpus, v2_several_mounts_each_count)
{
    fake_root root;
    root.cgroup("0::/a/b\n");
    root.mountinfo(
        "29 30 0:26 /a/b /own rw - cgroup2 cgroup rw\n"
        "30 30 0:26 / /all rw - cgroup2 cgroup rw\n");
    root.file("/own/cpu.max", "600000 100000\n");
    root.file("/all/a/cpu.max", "500000 100000\n");
    EXPECT_DOUBLE_EQ(root.quota(), 5.0);
}

TEST(cpus, v2_mount_made_outside_of_our_namespace)
{
    fake_root root;
    root.cgroup("0::/x\n").mountinfo("29 30 0:26 /../.. /sys/fs/cgroup rw - cgroup2 cgroup rw\n");
    root.file("/sys/fs/cgroup/cpu.max", "300000 100000\n");
    root.file("/sys/fs/cgroup/x/cpu.max", "100000 100000\n");  // some other group of that name
    EXPECT_DOUBLE_EQ(root.quota(), 3.0);
}

TEST(cpus, v2_group_moved_out_of_its_namespace)
{
    fake_root root;
    root.cgroup("0::/../sibling\n").mountinfo(v2_mount);
    root.file("/sys/fs/cgroup/cpu.max", "100000 100000\n");
    root.file("/sys/fs/cpu.max", "100000 100000\n");
    EXPECT_EQ(root.quota(), none);
    root.mountinfo("29 30 0:26 /.. /up rw - cgroup2 cgroup rw\n");
    root.file("/up/cpu.max", "600000 100000\n");
    root.file("/up/sibling/cpu.max", "200000 100000\n");
    EXPECT_DOUBLE_EQ(root.quota(), 2.0);
    root.mountinfo("29 30 0:26 /../sibling /us rw - cgroup2 cgroup rw\n");
    root.file("/us/cpu.max", "400000 100000\n");
    EXPECT_DOUBLE_EQ(root.quota(), 4.0);
    root.mountinfo("29 30 0:26 /../other /not_us rw - cgroup2 cgroup rw\n");
    root.file("/not_us/cpu.max", "100000 100000\n");
    EXPECT_EQ(root.quota(), none);
}

TEST(cpus, mountinfo_octal_escapes)
{
    fake_root root;
    root.cgroup("0::/a b\\c\td\n");
    root.mountinfo("29 30 0:26 /a\\040b\\134c\\011d /mnt/my\\040groups\\012\\134040 rw - cgroup2 none rw\n");
    root.file("/mnt/my groups\n\\040/cpu.max", "700000 100000\n");
    EXPECT_DOUBLE_EQ(root.quota(), 7.0);
}

TEST(cpus, mountinfo_backslashes_that_are_no_escape)
{
    fake_root root;
    root.cgroup("0::/\n").mountinfo("29 30 0:26 / /a\\08\\400\\04 rw - cgroup2 none rw\n");
    root.file("/a\\08\\400\\04/cpu.max", "700000 100000\n");
    EXPECT_DOUBLE_EQ(root.quota(), 7.0);
}

TEST(cpus, mountinfo_optional_fields_and_an_empty_source)
{
    fake_root root;
    root.cgroup("0::/\n");
    root.mountinfo("29 30 0:26 / /cg rw shared:1 master:2 propagate_from:3 unbindable - cgroup2  rw\n");
    root.file("/cg/cpu.max", "600000 100000\n");
    EXPECT_DOUBLE_EQ(root.quota(), 6.0);
}

TEST(cpus, a_cgroup_path_may_have_colons_and_no_last_newline)
{
    fake_root root;
    root.cgroup("1:name=systemd:/x\n0::/app:1/b:2").mountinfo(v2_mount);
    root.file("/sys/fs/cgroup/app:1/b:2/cpu.max", "300000 100000");
    EXPECT_DOUBLE_EQ(root.quota(), 3.0);
}

TEST(cpus, v1_own_group)
{
    fake_root root;
    root.cgroup("9:cpuset:/other\n4:cpu,cpuacct:/box\n1:name=systemd:/s\n").mountinfo(v1_mounts);
    root.v1_limit("/sys/fs/cgroup/cpu,cpuacct/box", "250000\n", "100000\n");
    root.v1_limit("/sys/fs/cgroup/cpuset/other", "100000\n", "100000\n");
    EXPECT_DOUBLE_EQ(root.quota(), 2.5);
}

TEST(cpus, v1_minus_one_is_no_limit)
{
    fake_root root;
    root.cgroup("4:cpu,cpuacct:/box\n").mountinfo(v1_mounts);
    root.v1_limit("/sys/fs/cgroup/cpu,cpuacct/box", "-1\n", "100000\n");
    EXPECT_EQ(root.quota(), none);
}

TEST(cpus, v1_the_least_of_all_ancestors_counts)
{
    fake_root root;
    root.cgroup("4:cpuacct,cpu:/a/b/c\n").mountinfo(v1_mounts);
    root.v1_limit("/sys/fs/cgroup/cpu,cpuacct", "-1\n", "100000\n");
    root.v1_limit("/sys/fs/cgroup/cpu,cpuacct/a", "150000\n", "50000\n");
    root.v1_limit("/sys/fs/cgroup/cpu,cpuacct/a/b", "-1\n", "100000\n");
    root.v1_limit("/sys/fs/cgroup/cpu,cpuacct/a/b/c", "1000000\n", "100000\n");
    EXPECT_DOUBLE_EQ(root.quota(), 3.0);
}

TEST(cpus, v1_bind_mount_of_our_own_group)
{
    fake_root root;
    root.cgroup("4:cpu,cpuacct:/docker/1f\n");
    root.mountinfo("32 31 0:29 /docker/1f /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n");
    root.v1_limit("/sys/fs/cgroup/cpu,cpuacct", "400000\n", "100000\n");
    EXPECT_DOUBLE_EQ(root.quota(), 4.0);
}

TEST(cpus, v1_period_or_quota_missing_or_zero)
{
    fake_root root;
    root.cgroup("4:cpu,cpuacct:/box\n").mountinfo(v1_mounts);
    const std::string box = "/sys/fs/cgroup/cpu,cpuacct/box";
    root.file(box + "/cpu.cfs_quota_us", "100000\n");
    EXPECT_EQ(root.quota(), none);
    root.v1_limit(box, "100000\n", "0\n");
    EXPECT_EQ(root.quota(), none);
    root.v1_limit(box, "0\n", "100000\n");
    EXPECT_EQ(root.quota(), none);
    root.v1_limit(box, "", "100000\n");
    EXPECT_EQ(root.quota(), none);
}

TEST(cpus, a_controller_whose_name_only_contains_cpu_is_another)
{
    fake_root root;
    root.cgroup("4:cpuset:/box\n3:cpuacct:/box\n").mountinfo(v1_mounts);
    root.v1_limit("/sys/fs/cgroup/cpu,cpuacct/box", "100000\n", "100000\n");
    root.v1_limit("/sys/fs/cgroup/cpuset/box", "100000\n", "100000\n");
    EXPECT_EQ(root.quota(), none);
}

TEST(cpus, hybrid_with_the_cpu_controller_in_v1)
{
    fake_root root;
    root.cgroup("4:cpu,cpuacct:/box\n0::/user.slice\n");
    root.mountinfo(std::string(v1_mounts) + "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n");
    root.file("/sys/fs/cgroup/unified/user.slice/cgroup.procs", "");
    root.v1_limit("/sys/fs/cgroup/cpu,cpuacct/box", "200000\n", "100000\n");
    EXPECT_DOUBLE_EQ(root.quota(), 2.0);
}

TEST(cpus, hybrid_with_the_cpu_controller_in_v2)
{
    fake_root root;
    root.cgroup("3:memory:/box\n0::/user.slice\n");
    root.mountinfo(
        "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
        "42 31 0:39 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n");
    root.file("/sys/fs/cgroup/unified/user.slice/cpu.max", "100000 50000\n");
    EXPECT_DOUBLE_EQ(root.quota(), 2.0);
}

TEST(cpus, both_versions_limit_the_lesser_counts)
{
    fake_root root;
    root.cgroup("4:cpu,cpuacct:/box\n0::/box\n");
    root.mountinfo(std::string(v1_mounts) + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    root.v1_limit("/sys/fs/cgroup/cpu,cpuacct/box", "500000\n", "100000\n");
    root.file("/sys/fs/cgroup/unified/box/cpu.max", "300000 100000\n");
    EXPECT_DOUBLE_EQ(root.quota(), 3.0);
    root.v1_limit("/sys/fs/cgroup/cpu,cpuacct/box", "200000\n", "100000\n");
    EXPECT_DOUBLE_EQ(root.quota(), 2.0);
}

TEST(cpus, garbage_in_cpu_max_is_no_limit)
{
    for (const char* text : {"",
                             "\n",
                             " ",
                             "abc",
                             "100000",
                             "100000 ",
                             "100000 x",
                             "x 100000",
                             "0 100000",
                             "100000 0",
                             "-5 100000",
                             "100000 -5",
                             "+1 100000",
                             "0x10 100000",
                             "1e5 100000",
                             "100000 100000 1",
                             "99999999999999999999999 100000",
                             "100000\n100000\n",
                             "max",
                             "max max"}) {
        fake_root root;
        root.cgroup("0::/a\n").mountinfo(v2_mount).file("/sys/fs/cgroup/a/cpu.max", text);
        EXPECT_EQ(root.quota(), none) << '"' << text << '"';
    }
}

TEST(cpus, garbage_in_the_proc_files_is_no_limit)
{
    for (const std::string_view text :
         {std::string_view("\0\0\n\0", 4), std::string_view("\n\n\n"), std::string_view(":::"), std::string_view("0"),
          std::string_view("0:"), std::string_view("0::"), std::string_view("0::relative\n"),
          std::string_view("::/a\n"), std::string_view("x y z - cgroup2"),
          std::string_view("29 30 0:26 / /sys/fs/cgroup rw cgroup2 cgroup2 rw\n"),
          std::string_view("- - - - - - - - -\n"), std::string_view("29 30")}) {
        fake_root root;
        root.file("/sys/fs/cgroup/cpu.max", "100000 100000\n");
        root.cgroup(text).mountinfo(v2_mount);
        EXPECT_EQ(root.quota(), none) << text;
        root.cgroup("0::/\n").mountinfo(text);
        EXPECT_EQ(root.quota(), none) << text;
        root.cgroup(text).mountinfo(text);
        EXPECT_EQ(root.quota(), none) << text;
    }
}

TEST(cpus, long_files_are_read_whole)
{
    std::string mounts;
    for (int i = 0; i < 2000; ++i)
        mounts += std::to_string(100 + i) + " 30 0:99 / /mnt/" + std::to_string(i) + " rw - ext4 /dev/sda1 rw\n";
    const std::string deep(200, 'd');
    std::string path;
    for (int i = 0; i < 15; ++i)
        path += "/" + deep;
    fake_root root;
    root.cgroup("0::" + path + "\n").mountinfo(mounts + std::string(v2_mount));
    root.file("/sys/fs/cgroup" + path + "/cpu.max", "300000 100000\n");
    EXPECT_DOUBLE_EQ(root.quota(), 3.0);
}

TEST(cpus, rounding_and_the_lower_bound)
{
    struct row {
        const char* text;
        int cpus;
    };
    for (const row& r : {row{"1 1000000\n", 1}, row{"99999 100000\n", 1}, row{"100000 100000\n", 1},
                         row{"100001 100000\n", 2}, row{"18446744073709551615 1\n", std::numeric_limits<int>::max()}}) {
        fake_root root;
        root.cgroup("0::/a\n").mountinfo(v2_mount).file("/sys/fs/cgroup/a/cpu.max", r.text);
        const cpu_limits limits = root.limits();
        EXPECT_EQ(limits.cpus, std::min(limits.affinity, r.cpus)) << r.text;
        EXPECT_TRUE(std::isfinite(limits.quota));
    }
}

// --- read_memory_room()

using weft::sys::memory_room;
using weft::sys::read_memory_room;

constexpr std::uint64_t mib = std::uint64_t{1} << 20;
constexpr std::uint64_t plenty = std::numeric_limits<std::int64_t>::max();
constexpr std::string_view v1_memory =
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n";

memory_room room_of(const fake_root& root)
{
    return read_memory_room(root.path().c_str());
}

/// 16 GiB, of which 9 GiB are available.
void add_meminfo(fake_root& root)
{
    root.file("/proc/meminfo",
              "MemTotal:       16777216 kB\n"
              "MemFree:         1048576 kB\n"
              "MemAvailable:    9437184 kB\n"
              "SwapTotal:             0 kB\n");
}

TEST(memory_room, the_real_machine_gives_something_sensible)
{
    const memory_room room = read_memory_room();
    EXPECT_GE(room.total, 16 * mib);
    EXPECT_LE(room.available, room.total);
    EXPECT_GE(weft::sys::most_mappings(), 1'000U);
}

TEST(memory_room, where_nothing_is_said_there_is_plenty)
{
    const fake_root root;
    const memory_room room = room_of(root);
    EXPECT_GE(room.available, plenty);
    EXPECT_EQ(room.total, room.available);
    EXPECT_FALSE(room.stalls);
}

TEST(memory_room, of_the_machine)
{
    fake_root root;
    add_meminfo(root);
    EXPECT_EQ(room_of(root).total, 16'384 * mib);
    EXPECT_EQ(room_of(root).available, 9'216 * mib);
}

TEST(memory_room, half_of_what_the_machine_says_counts_for_nothing)
{
    for (const char* text : {"MemTotal: 1024 kB\n", "MemAvailable: 1024 kB\n", "MemTotal: x kB\nMemAvailable: 1 kB\n",
                             "MemTotalX: 1024 kB\nMemAvailable: 1024 kB\n", "MemTotal:\nMemAvailable:\n", "\n\n"}) {
        fake_root root;
        root.file("/proc/meminfo", text);
        EXPECT_GE(room_of(root).available, plenty) << text;
    }
}

TEST(memory_room, v2_a_limit_less_what_is_used)
{
    fake_root root;
    add_meminfo(root);
    root.cgroup("0::/box\n").mountinfo(v2_mount);
    root.file("/sys/fs/cgroup/box/memory.max", std::to_string(1'000 * mib) + "\n");
    root.file("/sys/fs/cgroup/box/memory.current", std::to_string(600 * mib) + "\n");
    EXPECT_EQ(room_of(root).total, 1'000 * mib);
    EXPECT_EQ(room_of(root).available, 400 * mib);
    root.file("/sys/fs/cgroup/box/memory.high", std::to_string(700 * mib) + "\n");
    EXPECT_EQ(room_of(root).total, 700 * mib) << "reclaim begins at memory.high";
    EXPECT_EQ(room_of(root).available, 100 * mib);
    root.file("/sys/fs/cgroup/box/memory.high", "max\n");
    EXPECT_EQ(room_of(root).total, 1'000 * mib);
}

TEST(memory_room, v2_cache_of_files_that_nobody_uses_counts_as_free)
{
    fake_root root;
    add_meminfo(root);
    root.cgroup("0::/box\n").mountinfo(v2_mount);
    root.file("/sys/fs/cgroup/box/memory.max", std::to_string(1'000 * mib) + "\n");
    root.file("/sys/fs/cgroup/box/memory.current", std::to_string(900 * mib) + "\n");
    root.file("/sys/fs/cgroup/box/memory.stat",
              "anon 1\ninactive_anon 77\nactive_file 5\ninactive_file " + std::to_string(300 * mib) + "\nslab 3\n");
    EXPECT_EQ(room_of(root).available, 400 * mib);
}

TEST(memory_room, v2_more_used_than_the_limit_is_none_left)
{
    fake_root root;
    add_meminfo(root);
    root.cgroup("0::/box\n").mountinfo(v2_mount);
    root.file("/sys/fs/cgroup/box/memory.high", std::to_string(500 * mib) + "\n");
    root.file("/sys/fs/cgroup/box/memory.current", std::to_string(600 * mib) + "\n");
    EXPECT_EQ(room_of(root).available, 0U);
}

TEST(memory_room, v2_no_limit_is_the_machines)
{
    fake_root root;
    add_meminfo(root);
    root.cgroup("0::/box\n").mountinfo(v2_mount);
    root.file("/sys/fs/cgroup/box/memory.max", "max\n").file("/sys/fs/cgroup/box/memory.high", "max\n");
    root.file("/sys/fs/cgroup/box/memory.current", std::to_string(600 * mib) + "\n");
    EXPECT_EQ(room_of(root).total, 16'384 * mib);
    EXPECT_EQ(room_of(root).available, 9'216 * mib);
}

TEST(memory_room, v2_nested_the_least_of_all_counts)
{
    fake_root root;
    add_meminfo(root);
    root.cgroup("0::/a/b/c\n").mountinfo(v2_mount);
    const auto group = [&](const std::string& path, std::uint64_t limit, std::uint64_t used)
    {
        root.file("/sys/fs/cgroup" + path + "/memory.max", limit == 0 ? "max\n" : std::to_string(limit * mib) + "\n");
        root.file("/sys/fs/cgroup" + path + "/memory.current", std::to_string(used * mib) + "\n");
    };
    group("/a", 3'000, 2'900);  // the others in it have used it up
    group("/a/b", 0, 500);
    group("/a/b/c", 1'000, 200);
    EXPECT_EQ(room_of(root).total, 1'000 * mib);
    EXPECT_EQ(room_of(root).available, 100 * mib);
    group("/a", 3'000, 1'000);
    EXPECT_EQ(room_of(root).available, 800 * mib);
    group("/a/d", 10, 10);  // not ours
    EXPECT_EQ(room_of(root).available, 800 * mib);
}

TEST(memory_room, v1_a_limit_less_what_is_used)
{
    fake_root root;
    add_meminfo(root);
    root.cgroup("4:memory:/docker/1f\n").mountinfo(v1_memory);
    const std::string box = "/sys/fs/cgroup/memory/docker/1f";
    root.file(box + "/memory.limit_in_bytes", std::to_string(2'000 * mib) + "\n");
    root.file(box + "/memory.usage_in_bytes", std::to_string(1'500 * mib) + "\n");
    EXPECT_EQ(room_of(root).total, 2'000 * mib);
    EXPECT_EQ(room_of(root).available, 500 * mib);
    root.file(box + "/memory.stat", "inactive_file 1\ntotal_inactive_file " + std::to_string(100 * mib) + "\n");
    EXPECT_EQ(room_of(root).available, 600 * mib);
    root.file("/sys/fs/cgroup/memory/docker/memory.limit_in_bytes", std::to_string(1'000 * mib) + "\n");
    root.file("/sys/fs/cgroup/memory/docker/memory.usage_in_bytes", std::to_string(950 * mib) + "\n");
    EXPECT_EQ(room_of(root).total, 1'000 * mib);
    EXPECT_EQ(room_of(root).available, 50 * mib);
}

TEST(memory_room, v1_no_limit_is_a_large_number)
{
    fake_root root;
    add_meminfo(root);
    root.cgroup("4:memory:/\n").mountinfo(v1_memory);
    root.file("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    root.file("/sys/fs/cgroup/memory/memory.usage_in_bytes", std::to_string(600 * mib) + "\n");
    EXPECT_EQ(room_of(root).total, 16'384 * mib);
    EXPECT_EQ(room_of(root).available, 9'216 * mib);
}

TEST(memory_room, a_group_with_a_limit_and_no_machine)
{
    fake_root root;
    root.cgroup("0::/\n").mountinfo(v2_mount);
    root.file("/sys/fs/cgroup/memory.max", std::to_string(100 * mib) + "\n");
    root.file("/sys/fs/cgroup/memory.current", std::to_string(30 * mib) + "\n");
    EXPECT_EQ(room_of(root).total, 100 * mib);
    EXPECT_EQ(room_of(root).available, 70 * mib);
}

TEST(memory_room, stalls)
{
    struct row {
        const char* text;
        bool stalls;
    };
    for (const row& r : {row{"some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n", false},
                         row{"some avg10=9.99 avg60=50.00 avg300=0.00 total=0\n", false},
                         row{"some avg10=10.00 avg60=0.00 avg300=0.00 total=0\n", true},
                         row{"some avg10=87.31 avg60=0.00 avg300=0.00 total=0\n", true},
                         row{"full avg10=87.31 avg60=0.00 avg300=0.00 total=0\n", false}, row{"some avg10=", false},
                         row{"some avg10=x\n", false}, row{"", false}}) {
        fake_root root;
        root.file("/proc/pressure/memory", r.text);
        EXPECT_EQ(room_of(root).stalls, r.stalls) << r.text;
    }
}

}  // namespace
