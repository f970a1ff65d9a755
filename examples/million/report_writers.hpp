// The report in its three forms.
#pragma once

#include <iosfwd>

#include "result.hpp"

namespace million {

void write_text(std::ostream& out, const report& r);
void write_json(std::ostream& out, const report& r);
/// One page that needs nothing but itself.
void write_html(std::ostream& out, const report& r);

}  // namespace million
