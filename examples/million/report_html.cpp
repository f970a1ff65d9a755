#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <ostream>

#include "charts.hpp"
#include "page_style.hpp"
#include "report_writers.hpp"
#include "table.hpp"
#include "units.hpp"

namespace million {

namespace {

struct series {
    const run_result* run;
    std::string label;
    const char* css_class;
};

std::vector<series> all_series(const report& r)
{
    std::vector<series> found{{&r.goroutines, "goroutines", "goroutines"}};
    if (!r.threads.kind.empty()) {
        found.push_back({&r.threads, "threads, " + size_text(r.threads.stack) + " of stack", "threads"});
        found.push_back(
            {&r.small_threads, "threads, " + size_text(r.small_threads.stack) + " of stack", "small-threads"});
    }
    std::erase_if(found, [](const series& s) { return !s.run->has_result(); });
    return found;
}

std::string bytes_tick(double value)
{
    return size_text(static_cast<std::uint64_t>(std::llround(value)));
}

std::string time_tick(double seconds)
{
    if (seconds == 0)
        return "0";
    std::string text = time_text(seconds);  // "1.00 µs", "10.0 ns"
    const std::size_t point = text.find('.');
    const std::size_t blank = text.find(' ');
    if (point == std::string::npos)
        return text;
    const std::size_t last = text.find_last_not_of('0', blank - 1);
    return text.erase(last == point ? point : last + 1, blank - (last == point ? point : last + 1));
}

std::string time_chart(const report& r, const char* title, const char* subtitle,
                       const std::function<double(const run_result&)>& value)
{
    chart c{title, subtitle, scale::logarithmic, time_tick, {}};
    for (const series& s : all_series(r))
        c.bars.push_back({s.label, s.css_class, {{"", value(*s.run), 0}}, time_text(value(*s.run))});
    return svg_chart(c);
}

void add_memory_bar(chart& c, const run_result& run, const memory_cost& m, const std::string& label,
                    const char* css_class)
{
    const auto each = [&](std::int64_t bytes) { return std::max(0.0, run.per_task(static_cast<double>(bytes))); };
    const double pages = each(m.pages);
    const double tables = each(m.page_tables);
    // Less than what is certainly this process's: another one has given memory back meanwhile.
    const double whole = std::max(each(m.available), pages + tables);
    c.bars.push_back({label,
                      css_class,
                      {{"pages", pages, 0}, {"page tables", tables, 1}, {"kernel", whole - pages - tables, 2}},
                      bytes_text(static_cast<std::uint64_t>(std::llround(whole)))});
}

std::string memory_chart(const report& r)
{
    chart c{"Memory, each",
            "What free memory fell by until all waited at the gate, and until all were hibernated",
            scale::linear,
            bytes_tick,
            {},
            {"pages", "page tables", "the kernel's own"}};
    for (const series& s : all_series(r)) {
        add_memory_bar(c, *s.run, s.run->memory, s.label, s.css_class);
        add_memory_bar(c, *s.run, s.run->hibernated.memory, s.label + ", hibernated", s.css_class);
    }
    return svg_chart(c);
}

std::string count_chart(const report& r)
{
    chart c{"How many",
            "Started in this run, and the room that each limit of this machine leaves for threads",
            scale::logarithmic,
            [](double v) { return grouped(static_cast<std::uint64_t>(std::llround(v))); },
            {}};
    const auto add = [&](const std::string& label, const char* css_class, std::uint64_t value)
    { c.bars.push_back({label, css_class, {{"", static_cast<double>(value), 0}}, grouped(value)}); };
    for (const series& s : all_series(r))
        add(s.label + ", started", s.css_class, s.run->created);
    for (const thread_limit& l : r.limits)
        add("room by " + l.name, "limit", l.room);
    return svg_chart(c);
}

std::string timeline_chart(const report& r)
{
    const std::vector<std::string> timeline{phase_name::create, phase_name::gather,   phase_name::hibernate,
                                            phase_name::wake,   phase_name::exchange, phase_name::sleep,
                                            phase_name::finish};
    chart c{"Time to run all", "By phases, the weighing of the memory left out", scale::linear, time_tick, {},
            timeline};
    for (const series& s : all_series(r)) {
        bar b{grouped(s.run->created) + " " + s.label, s.css_class, {}, time_text(s.run->total_seconds())};
        for (const phase& p : s.run->phases) {
            const auto shade = std::find(timeline.begin(), timeline.end(), p.name) - timeline.begin();
            b.parts.push_back({p.name + ": " + time_text(p.seconds), p.seconds, static_cast<int>(shade)});
        }
        c.bars.push_back(std::move(b));
    }
    return svg_chart(c);
}

std::string fact(const std::string& value, const std::string& what, const std::string& beside)
{
    return fmt::format("<div class=\"fact\"><b>{}</b><span>{}</span><span>{}</span></div>\n", escaped(value),
                       escaped(what), escaped(beside));
}

std::string facts(const report& r)
{
    const run_result& g = r.goroutines;
    const bool both = g.has_result() && !r.threads.kind.empty() && r.threads.has_result();
    if (!g.has_result())
        return {};
    const auto memory = [](const run_result& x, const memory_cost& m)
    {
        const double bytes = std::max(0.0, x.per_task(static_cast<double>(m.available)));
        return bytes_text(static_cast<std::uint64_t>(std::llround(bytes)));
    };
    const auto create = [](const run_result& x) { return time_text(x.per_task(x.seconds(phase_name::create))); };
    const auto beside = [&](const std::string& text) { return both ? "thread: " + text : std::string(); };
    const std::string thread = beside(memory(r.threads, r.threads.memory));
    return "<div class=\"facts\">\n" +
           (g.memory.weighed() ? fact(memory(g, g.memory), "memory for a goroutine", thread) : "") +
           (g.hibernated.tasks != 0 ? fact(memory(g, g.hibernated.memory), "for a hibernated one", thread) : "") +
           fact(create(g), "to create a goroutine", beside(create(r.threads))) +
           fact(time_text(g.costs.handover), "a switch, by block and wake",
                beside(time_text(r.threads.costs.handover))) +
           fact(time_text(g.costs.spawn_one), "start one and join it", beside(time_text(r.threads.costs.spawn_one))) +
           "</div>\n";
}

std::string html_table(const table& t)
{
    std::string html = "<div class=\"scroll\"><table>\n<thead><tr><th></th>";
    for (std::size_t c = 0; c < t.columns.size(); ++c)
        html += fmt::format("<th scope=\"col\">{}<small>{}</small></th>", escaped(t.columns[c]), escaped(t.notes[c]));
    html += "</tr></thead>\n<tbody>\n";
    for (const table_row& row : t.rows) {
        html +=
            fmt::format("<tr{}><th scope=\"row\">{}</th>", row.detail ? " class=\"detail\"" : "", escaped(row.label));
        for (const std::string& cell : row.cells)
            html += fmt::format("<td>{}</td>", escaped(cell));
        html += "</tr>\n";
    }
    return html + "</tbody></table></div>\n";
}

std::string limits_table(const report& r)
{
    std::string html =
        "<div class=\"scroll\"><table class=\"why\">\n<thead><tr><th></th><th scope=\"col\">limit</th>"
        "<th scope=\"col\">room for threads</th><th></th></tr></thead>\n<tbody>\n";
    for (const thread_limit& l : r.limits)
        html += fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td></tr>\n", escaped(l.name),
                            value_text(l), grouped(l.room), escaped(l.why));
    return html + "</tbody></table></div>\n";
}

std::string headline(const report& r)
{
    if (!r.goroutines.has_result())
        return "No result for goroutines";
    return fmt::format("{} goroutines on {} CPU{}", grouped(r.goroutines.created), r.where.cpus,
                       r.where.cpus == 1 ? "" : "s");
}

std::string lead(const report& r)
{
    std::string text = "Each waited at a gate, swapped a value with a partner, slept for up to a second and finished.";
    if (!r.threads.kind.empty() && r.threads.has_result())
        text += fmt::format(" Then {} threads did the same.", grouped(r.threads.created));
    return text;
}

std::string verdict_line(const report& r)
{
    bool good = true;
    for (const series& s : all_series(r))
        good = good && s.run->check.good();
    return good ? "<p class=\"good\">Every value arrived, once, at the partner it was meant for.</p>\n"
                : "<p class=\"bad\">Values were lost, doubled or mixed up: see the remarks below the table.</p>\n";
}

}  // namespace

void write_html(std::ostream& out, const report& r)
{
    const machine& m = r.where;
    out << "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        << "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>weft: "
        << escaped(headline(r)) << "</title>\n<style>" << page_style() << "</style>\n</head>\n<body>\n<main>\n";
    out << "<h1>" << escaped(headline(r)) << "</h1>\n<p class=\"lead\">" << escaped(lead(r)) << "</p>\n"
        << verdict_line(r) << facts(r);

    out << "<h2>What each costs</h2>\n<div class=\"charts\">\n"
        << memory_chart(r)
        << time_chart(r, "Creation, each", "All created at once, until the last call returned. Logarithmic scale",
                      [](const run_result& x) { return x.per_task(x.seconds(phase_name::create)); })
        << time_chart(r, "Switch", "Two that block and wake each other on one CPU. Logarithmic scale",
                      [](const run_result& x) { return x.costs.handover; })
        << time_chart(r, "Start and join", "One at a time. Logarithmic scale",
                      [](const run_result& x) { return x.costs.spawn_one; })
        << "</div>\n<h2>How long, and how many</h2>\n<div class=\"charts tall\">\n"
        << timeline_chart(r) << count_chart(r) << "</div>\n";

    out << "<h2>All numbers</h2>\n" << html_table(make_table(r));
    const std::vector<std::string> remarks = make_remarks(r);
    if (!remarks.empty())
        out << "<h2>Where it stops, and why</h2>\n";
    for (const std::string& remark : remarks)
        out << "<p>" << escaped(remark) << "</p>\n";
    if (!r.limits.empty())
        out << limits_table(r);

    out << fmt::format(
               "<footer><p>{}, {} CPU{}, {} of memory; {}; {}; built by {}. {}.</p><p><code>{}</code></p></footer>\n",
               escaped(m.cpu), m.cpus, m.cpus == 1 ? "" : "s", bytes_text(m.memory), escaped(m.kernel),
               escaped(m.system), escaped(m.compiler), escaped(m.started), escaped(r.command))
        << "</main>\n</body>\n</html>\n";
}

}  // namespace million
