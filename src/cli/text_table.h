#pragma once

#include <set>
#include <string>
#include <vector>

namespace zebra {

/// Rows, the first being the header, as lines of columns with two spaces between them; the columns
/// of these names are aligned to the right. A row may be shorter than the header.
std::string text_table(const std::vector<std::vector<std::string>>& rows,
                       const std::set<std::string>& right_aligned = {});

}  // namespace zebra
