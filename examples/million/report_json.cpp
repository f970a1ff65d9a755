#include <nlohmann/json.hpp>
#include <ostream>

#include "report_writers.hpp"

namespace million {

void write_json(std::ostream& out, const report& r)
{
    out << nlohmann::json(r).dump(2) << '\n';
}

}  // namespace million
