#include "charts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace million {

namespace {

// Pixels.
constexpr int row_height = 50;
constexpr int text_baseline = 16;  ///< from the row's top
constexpr int bar_top = 24;
constexpr int bar_height = 14;
constexpr int axis_height = 22;

double total(const bar& b)
{
    double sum = 0;
    for (const bar::part& p : b.parts)
        sum += p.value;
    return sum;
}

/// Maps values to percent of the width, and chooses the ticks.
class axis {
public:
    axis(scale kind, double least, double most) : kind_(kind)
    {
        if (kind_ == scale::logarithmic) {
            from_ = std::floor(std::log10(least) - 0.1);  // the shortest bar shall still be seen
            to_ = std::max(std::ceil(std::log10(most)), from_ + 1);
            for (double decade = from_; decade <= to_; ++decade)
                ticks_.push_back(std::pow(10, decade));
        } else {
            const double step = round_step(most / 3);
            to_ = std::ceil(most / step) * step;
            for (double at = 0; at <= to_ + step / 2; at += step)
                ticks_.push_back(at);
        }
    }

    [[nodiscard]] double percent(double value) const
    {
        if (kind_ == scale::logarithmic)
            return (std::log10(value) - from_) / (to_ - from_) * 100;
        return value / to_ * 100;
    }
    [[nodiscard]] const std::vector<double>& ticks() const { return ticks_; }

private:
    /// The next of 1, 2, 5, 10, 20, 50 ...
    static double round_step(double value)
    {
        const double unit = std::pow(10, std::floor(std::log10(value)));
        for (const double factor : {1.0, 2.0, 5.0})
            if (value <= factor * unit)
                return factor * unit;
        return 10 * unit;
    }

    scale kind_;
    double from_ = 0;
    double to_ = 1;
    std::vector<double> ticks_;
};

/// The lines beside every bar, which leave the labels free, and the text of the ticks.
std::string draw_axis(const chart& c, const axis& x, int rows)
{
    std::string svg;
    for (std::size_t i = 0; i < x.ticks().size(); ++i) {
        const double at = x.percent(x.ticks()[i]);
        const char* anchor = i == 0 ? "start" : i + 1 == x.ticks().size() ? "end" : "middle";
        for (int row = 0; row < rows; ++row)
            svg += fmt::format(R"(<line class="grid" x1="{0:.2f}%" x2="{0:.2f}%" y1="{1}" y2="{2}"/>)", at,
                               row * row_height + bar_top - 3, row * row_height + bar_top + bar_height + 3);
        svg += fmt::format(R"(<text class="tick" x="{:.2f}%" y="{}" text-anchor="{}">{}</text>)", at,
                           rows * row_height + axis_height - 6, anchor, escaped(c.tick_text(x.ticks()[i])));
    }
    return svg;
}

std::string draw_legend(const chart& c)
{
    std::string html;
    for (std::size_t i = 0; i < c.legend.size(); ++i)
        html += fmt::format(R"(<span><i class="shade{}"></i>{}</span>)", i, escaped(c.legend[i]));
    return html.empty() ? html : "<div class=\"legend\">" + html + "</div>";
}

std::string draw_bar(const bar& b, const axis& x, int top)
{
    std::string svg =
        fmt::format(R"(<text class="label" x="0" y="{}">{}</text>)", top + text_baseline, escaped(b.label));
    svg += fmt::format(R"(<text class="value" x="100%" y="{}" text-anchor="end">{}</text>)", top + text_baseline,
                       escaped(b.text));
    double begin = 0;
    double sum = 0;
    for (const bar::part& p : b.parts) {
        if (p.value <= 0)
            continue;
        sum += p.value;
        const double end = x.percent(sum);
        svg += fmt::format(
            R"(<rect class="{} shade{}" x="{:.3f}%" y="{}" width="{:.3f}%" height="{}"><title>{}</title></rect>)",
            b.css_class, p.shade, begin, top + bar_top, std::max(end - begin, 0.15), bar_height,
            escaped(p.name.empty() ? b.label : p.name));
        begin = end;
    }
    return svg;
}

}  // namespace

std::string escaped(const std::string& text)
{
    std::string safe;
    for (const char c : text) {
        switch (c) {
            case '&':
                safe += "&amp;";
                break;
            case '<':
                safe += "&lt;";
                break;
            case '>':
                safe += "&gt;";
                break;
            case '"':
                safe += "&quot;";
                break;
            default:
                safe += c;
        }
    }
    return safe;
}

std::string svg_chart(const chart& c)
{
    std::vector<bar> bars = c.bars;
    std::erase_if(bars, [](const bar& b) { return !(total(b) > 0); });
    if (bars.empty())
        return {};
    const auto [least, most] =
        std::minmax_element(bars.begin(), bars.end(), [](const bar& a, const bar& b) { return total(a) < total(b); });
    const axis x(c.axis, total(*least), total(*most));

    const int rows = static_cast<int>(bars.size());
    std::string svg = draw_axis(c, x, rows);
    for (int row = 0; row < rows; ++row)
        svg += draw_bar(bars[static_cast<std::size_t>(row)], x, row * row_height);
    return fmt::format(
        "<figure>\n<figcaption><h3>{0}</h3><p>{1}</p>{4}</figcaption>\n"
        R"(<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{0}" width="100%" height="{2}">)"
        "{3}</svg>\n</figure>\n",
        escaped(c.title), escaped(c.subtitle), rows * row_height + axis_height, svg, draw_legend(c));
}

}  // namespace million
