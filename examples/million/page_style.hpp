#pragma once

#include <string_view>

namespace million {

/// The style sheet of the HTML report.
[[nodiscard]] std::string_view page_style();

}  // namespace million
