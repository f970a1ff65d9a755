#include "table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "units.hpp"

namespace million {

namespace {

class builder {
public:
    explicit builder(const report& r)
    {
        for (const run_result* run : {&r.goroutines, &r.threads, &r.small_threads}) {
            if (run->kind.empty())
                continue;
            runs_.push_back(run);
            made_.columns.push_back(run->kind);
            made_.notes.push_back(run->note);
        }
        if (runs_.size() > 1) {
            made_.columns.emplace_back("threads /");
            made_.notes.emplace_back("goroutines");
        }
    }

    void text(const char* label, const std::function<std::string(const run_result&)>& cell) { add(label, false, cell); }

    void detail(const char* label, const std::function<std::string(const run_result&)>& cell)
    {
        add(label, true, cell);
    }

    void number(const char* label, bool detail, const std::function<double(const run_result&)>& value,
                const std::function<std::string(double)>& shown)
    {
        add(label, detail, [&](const run_result& r) { return shown(value(r)); });
        if (runs_.size() > 1 && runs_[0]->has_result() && runs_[1]->has_result() && value(*runs_[0]) > 0 &&
            value(*runs_[1]) > 0)
            made_.rows.back().cells.back() = ratio_text(value(*runs_[1]) / value(*runs_[0]));
    }

    [[nodiscard]] table take() { return std::move(made_); }

private:
    void add(const char* label, bool detail, const std::function<std::string(const run_result&)>& cell)
    {
        table_row row{label, {}, detail};
        for (const run_result* run : runs_)
            row.cells.push_back(run->has_result() ? cell(*run) : "");
        row.cells.resize(made_.columns.size());
        made_.rows.push_back(std::move(row));
    }

    std::vector<const run_result*> runs_;
    table made_;
};

constexpr double not_weighed = std::numeric_limits<double>::quiet_NaN();

std::string bytes_cell(double bytes)
{
    if (std::isnan(bytes))
        return "-";
    const std::string size = bytes_text(static_cast<std::uint64_t>(std::llround(std::abs(bytes))));
    return bytes < 0 ? "-" + size : size;
}

std::string cost_cell(double seconds)
{
    return seconds > 0 ? time_text(seconds) : "-";
}

/// What the tasks weigh, and what it is made of.
void add_memory(builder& t, const char* label, const std::function<memory_cost(const run_result&)>& weighed)
{
    const auto each = [weighed](std::int64_t memory_cost::* part)
    {
        return [weighed, part](const run_result& x)
        {
            const memory_cost m = weighed(x);
            return m.weighed() ? x.per_task(static_cast<double>(m.*part)) : not_weighed;
        };
    };
    t.number(label, false, each(&memory_cost::available), bytes_cell);
    t.number("of it pages", true, each(&memory_cost::pages), bytes_cell);
    t.number("of it page tables", true, each(&memory_cost::page_tables), bytes_cell);
    t.detail("of it kernel",
             [value = each(&memory_cost::kernel)](const run_result& x) { return bytes_cell(value(x)); });
}

std::string waves_remark(const run_result& x)
{
    return fmt::format(
        "{} {} don't fit into memory unless hibernated: they were created, and woken, in waves of {}. So the times to "
        "create and to wake them include the others' hibernation, and most of the exchange and the sleep.",
        grouped(x.created), x.kind, grouped(x.wave));
}

std::string check_remark(const std::string& who, const verdict& v)
{
    const std::string sum = fmt::format("checksum {:016x}, expected {:016x}", v.sum, v.expected);
    if (v.good())
        return fmt::format("{}: every value arrived, once, at its partner ({}).", who, sum);
    return fmt::format("{}: WRONG: {} tasks lost, {} run twice, {} with a wrong value, {} woken early ({}).", who,
                       v.lost, v.doubled, v.wrong, v.early, sum);
}

}  // namespace

table make_table(const report& r)
{
    builder t(r);
    t.text("created", [](const run_result& x) { return grouped(x.created); });
    add_memory(t, "memory, each", [](const run_result& x) { return x.memory; });
    if (r.goroutines.hibernated.tasks != 0)
        add_memory(t, "memory, each, hibernated", [](const run_result& x) { return x.hibernated.memory; });
    t.text("memory mappings, all",
           [](const run_result& x) { return grouped(std::max(x.memory.mappings, x.hibernated.memory.mappings)); });

    t.number("switch by yield", false, [](const run_result& x) { return x.costs.yield; }, cost_cell);
    t.number("switch by block and wake", false, [](const run_result& x) { return x.costs.handover; }, cost_cell);
    t.number("start and join one", false, [](const run_result& x) { return x.costs.spawn_one; }, cost_cell);
    t.number("start and join 1,000, each", false, [](const run_result& x) { return x.costs.spawn_batch; }, cost_cell);

    const auto phase_cell = [](const char* name)
    { return [name](const run_result& x) { return cost_cell(x.seconds(name)); }; };
    const auto each = [](const char* name)
    { return [name](const run_result& x) { return x.per_task(x.seconds(name)); }; };
    t.text("time to create all", [](const run_result& x) { return time_text(x.seconds(phase_name::create)); });
    t.number("each", true, each(phase_name::create), time_text);
    t.text("until all wait at the gate", [](const run_result& x) { return time_text(x.seconds(phase_name::gather)); });
    t.number(
        "each, creation included", true, [](const run_result& x)
        { return x.per_task(x.seconds(phase_name::create) + x.seconds(phase_name::gather)); }, time_text);
    if (r.goroutines.hibernated.tasks != 0) {
        t.text("time to hibernate all", phase_cell(phase_name::hibernate));
        t.number("each", true, each(phase_name::hibernate), cost_cell);
        t.text("time to wake all hibernated", phase_cell(phase_name::wake));
        t.number("each", true, each(phase_name::wake), cost_cell);
    }
    t.text("open gate, exchange values",
           [](const run_result& x) { return time_text(x.seconds(phase_name::exchange)); });
    t.number("each", true, each(phase_name::exchange), time_text);
    t.text("late after sleep: median", [](const run_result& x) { return time_text(x.late.p50); });
    t.detail("99 of 100 sooner than", [](const run_result& x) { return time_text(x.late.p99); });
    t.detail("latest", [](const run_result& x) { return time_text(x.late.max); });
    t.text("time to run all", [](const run_result& x) { return time_text(x.total_seconds()); });
    t.text("CPU time", [](const run_result& x) { return time_text(x.total_cpu_seconds()); });
    t.number("each", true, [](const run_result& x) { return x.per_task(x.total_cpu_seconds()); }, time_text);
    t.text("values exchanged", [](const run_result& x) { return std::string(x.check.good() ? "all right" : "WRONG"); });
    return t.take();
}

std::vector<std::string> make_remarks(const report& r)
{
    std::vector<std::string> remarks;
    for (const run_result* run : {&r.goroutines, &r.threads, &r.small_threads}) {
        if (run->kind.empty())
            continue;
        const std::string who = run->note.empty() ? run->kind : fmt::format("{} ({})", run->kind, run->note);
        if (!run->has_result()) {
            remarks.push_back(fmt::format("No result for {}: {}.", who, run->error));
            continue;
        }
        if (!run->reduced.empty())
            remarks.push_back(
                fmt::format("{} of {} {}: {}.", grouped(run->created), grouped(run->asked), who, run->reduced));
        if (run->wave != 0)
            remarks.push_back(waves_remark(*run));
        if (!run->hibernated.off.empty())
            remarks.push_back(fmt::format("No {} hibernated: {}.", run->kind, run->hibernated.off));
        else if (run->hibernated.tasks != 0 && run->hibernated.tasks < run->created)
            remarks.push_back(fmt::format("{} of {} {} were hibernated when they were weighed.",
                                          grouped(run->hibernated.tasks), grouped(run->created), run->kind));
        for (const auto& [weighed, state] : {std::pair(run->memory, ""), {run->hibernated.memory, " (hibernated)"}})
            if (weighed.disturbed())
                remarks.push_back(
                    fmt::format("Other programs disturbed the weighing of {}{}: free memory fell by {} each, what "
                                "can be attributed is {} each.",
                                who, state, bytes_cell(run->per_task(static_cast<double>(weighed.available))),
                                bytes_cell(run->per_task(static_cast<double>(weighed.known())))));
        remarks.push_back(check_remark(fmt::format("{} {}", grouped(run->created), who), run->check));
    }
    if (r.limits.empty())
        return remarks;
    const thread_limit& lowest = r.limits.front();
    remarks.push_back(fmt::format("Threads stop at {} = {}, the lowest limit here: room for about {} ({}).",
                                  lowest.name, value_text(lowest), grouped(lowest.room), lowest.why));
    return remarks;
}

}  // namespace million
