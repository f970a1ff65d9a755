// The table of results, before it becomes text or HTML.
#pragma once

#include <string>
#include <vector>

#include "result.hpp"

namespace million {

struct table_row {
    std::string label;
    std::vector<std::string> cells;  ///< one for each of table::columns, empty where there is nothing to say
    bool detail = false;             ///< belongs to the row before it
};

struct table {
    std::vector<std::string> columns;
    std::vector<std::string> notes;  ///< below each column's head
    std::vector<table_row> rows;
};

/// All runs side by side; a last column compares threads of default stack size with goroutines.
[[nodiscard]] table make_table(const report& r);

/// In a sentence each: what kept goroutines and threads from being more.
[[nodiscard]] std::vector<std::string> make_remarks(const report& r);

}  // namespace million
