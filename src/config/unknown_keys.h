#pragma once

#include <string>
#include <vector>

#include "config/catalogue.h"
#include "config/report.h"
#include "config/value.h"

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

/// Tells the report where every key of a file stands, and reports those that do not exist there,
/// with the key that was likely meant. That key is marked unsound, so that it is not reported as
/// missing as well. `known` are all keys of such a file, by default of a run file.
void check_keys(const Value& root, Report& report, const KeyInfo& known = catalogue());

/// Reports a dotted key that no run file has, in the same words.
void report_unknown_key(const std::string& dotted, Report& report);

}  // namespace zebra
