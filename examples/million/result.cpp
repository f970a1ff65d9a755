#include "result.hpp"

#include <nlohmann/json.hpp>
#include <numeric>

namespace million {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(phase, name, seconds, cpu_seconds)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(memory_cost, available, pages, page_tables, kernel, mappings)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(hibernation_cost, tasks, off, memory)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(lateness, p50, p99, max)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(verdict, sum, expected, lost, doubled, wrong, early)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(unit_costs, yield, handover, spawn_one, spawn_batch)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(machine, cpu, cpus, memory, kernel, system, compiler, started)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(thread_limit, name, value, in_bytes, room, why)

double run_result::seconds(const std::string& name) const
{
    for (const phase& p : phases)
        if (p.name == name)
            return p.seconds;
    return 0;
}

double run_result::total_seconds() const
{
    return std::accumulate(phases.begin(), phases.end(), 0.0,
                           [](double sum, const phase& p) { return sum + p.seconds; });
}

double run_result::total_cpu_seconds() const
{
    return std::accumulate(phases.begin(), phases.end(), 0.0,
                           [](double sum, const phase& p) { return sum + p.cpu_seconds; });
}

void to_json(nlohmann::json& j, const run_result& r)
{
    j = {{"kind", r.kind},
         {"note", r.note},
         {"asked", r.asked},
         {"created", r.created},
         {"stack", r.stack},
         {"wave", r.wave},
         {"reduced", r.reduced},
         {"error", r.error},
         {"phases", r.phases},
         {"memory", r.memory},
         {"hibernated", r.hibernated},
         {"lateness", r.late},
         {"check", r.check},
         {"costs", r.costs},
         {"stats", r.stats}};
    j["check"]["good"] = r.good();
    j["memory"]["disturbed"] = r.memory.disturbed();
    j["hibernated"]["memory"]["disturbed"] = r.hibernated.memory.disturbed();
    j["total_seconds"] = r.total_seconds();
    j["total_cpu_seconds"] = r.total_cpu_seconds();
    j["memory_per_task"] = r.per_task(static_cast<double>(r.memory.available));
    j["hibernated"]["memory_per_task"] = r.per_task(static_cast<double>(r.hibernated.memory.available));
}

void from_json(const nlohmann::json& j, run_result& r)
{
    j.at("kind").get_to(r.kind);
    j.at("note").get_to(r.note);
    j.at("asked").get_to(r.asked);
    j.at("created").get_to(r.created);
    j.at("stack").get_to(r.stack);
    j.at("wave").get_to(r.wave);
    j.at("reduced").get_to(r.reduced);
    j.at("error").get_to(r.error);
    j.at("phases").get_to(r.phases);
    j.at("memory").get_to(r.memory);
    j.at("hibernated").get_to(r.hibernated);
    j.at("lateness").get_to(r.late);
    j.at("check").get_to(r.check);
    j.at("costs").get_to(r.costs);
    j.at("stats").get_to(r.stats);
}

void to_json(nlohmann::json& j, const report& r)
{
    j = {{"format", 1},
         {"units", "seconds and bytes, unless a name says otherwise"},
         {"machine", r.where},
         {"command", r.command},
         {"goroutines", r.goroutines},
         {"thread_limits", r.limits}};
    if (!r.threads.kind.empty()) {
        j["threads"] = r.threads;
        j["small_threads"] = r.small_threads;
    }
}

}  // namespace million
