#pragma once

#include <string>
#include <vector>

namespace zebra {

/// Words that other trainers use for something that has another name here.
struct Alias {
  std::vector<std::string> words;
  std::string key;     // ours, dotted; empty when there is none
  std::string remark;  // what differs, or what to do instead
};

const std::vector<Alias>& aliases();

/// The alias of a word, or null.
const Alias* find_alias(const std::string& word);

}  // namespace zebra
