// Charts as inline SVG. All lengths along the x axis are percentages and there is no viewBox, so that a chart takes the
// width that it is given and its text keeps its size, on a telephone as on a wide screen.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace million {

struct bar {
    std::string label;
    std::string css_class;  ///< colours it
    struct part {
        std::string name;  ///< shown when pointed at
        double value = 0;
        int shade = 0;  ///< 0 to 6, a class of its own each
    };
    std::vector<part> parts;  ///< side by side, on a linear scale only
    std::string text;         ///< the value in words
};

enum class scale { linear, logarithmic };

struct chart {
    std::string title;
    std::string subtitle;
    scale axis = scale::linear;
    std::function<std::string(double)> tick_text;
    std::vector<bar> bars;
    std::vector<std::string> legend{};  ///< what each shade means, from shade 0; empty where there is one shade
};

/// A <figure>. Bars without any value are left out; empty when none remains.
[[nodiscard]] std::string svg_chart(const chart& c);

/// For text and attribute values in HTML and SVG.
[[nodiscard]] std::string escaped(const std::string& text);

}  // namespace million
