#include <fmt/format.h>

#include <algorithm>
#include <ostream>

#include "report_writers.hpp"
#include "table.hpp"
#include "units.hpp"

namespace million {

namespace {

/// Columns on the terminal that `text` takes: its code points, as there are neither wide nor combining ones here.
std::size_t width(const std::string& text)
{
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string left(const std::string& text, std::size_t columns)
{
    return text + std::string(columns - std::min(columns, width(text)), ' ');
}

std::string right(const std::string& text, std::size_t columns)
{
    return std::string(columns - std::min(columns, width(text)), ' ') + text;
}

std::string label_of(const table_row& row)
{
    return (row.detail ? "  " : "") + row.label;
}

void write_table(std::ostream& out, const table& t)
{
    std::size_t label_width = 0;
    std::vector<std::size_t> widths;
    for (std::size_t c = 0; c < t.columns.size(); ++c)
        widths.push_back(std::max(width(t.columns[c]), width(t.notes[c])));
    for (const table_row& row : t.rows) {
        label_width = std::max(label_width, width(label_of(row)));
        for (std::size_t c = 0; c < widths.size(); ++c)
            widths[c] = std::max(widths[c], width(row.cells[c]));
    }
    const auto write_row = [&](const std::string& label, const std::vector<std::string>& cells)
    {
        std::string line = left(label, label_width);
        for (std::size_t c = 0; c < cells.size(); ++c)
            line += "  " + right(cells[c], widths[c]);
        line.erase(line.find_last_not_of(' ') + 1);
        out << line << '\n';
    };
    write_row("", t.columns);
    write_row("", t.notes);
    for (const table_row& row : t.rows)
        write_row(label_of(row), row.cells);
}

void write_limits(std::ostream& out, const std::vector<thread_limit>& limits)
{
    if (limits.empty())
        return;
    std::size_t name_width = 0;
    for (const thread_limit& l : limits)
        name_width = std::max(name_width, width(l.name));
    out << "\nRoom for threads by each limit:\n";
    for (const thread_limit& l : limits)
        out << fmt::format("  {}  {}  {}\n", left(l.name, name_width), right(grouped(l.room), 11), l.why);
}

}  // namespace

void write_text(std::ostream& out, const report& r)
{
    const machine& m = r.where;
    out << fmt::format("\n{} CPU{}, {} of memory, {}, {}, {}\n{}\n\n", m.cpus, m.cpus == 1 ? "" : "s",
                       bytes_text(m.memory), m.cpu, m.kernel, m.system, m.started);
    write_table(out, make_table(r));
    out << '\n';
    for (const std::string& remark : make_remarks(r))
        out << remark << '\n';
    write_limits(out, r.limits);
}

}  // namespace million
