#include "checkpoint/json_fault.h"

#include <cstddef>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

namespace zebra {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaximumDepth = 64;
constexpr std::size_t kLongestQuote = 100;

/// Passes over a text without keeping it; returning false ends the pass.
class FaultFinder final : public Json::json_sax_t {
 public:
  const std::string& fault() const { return fault_; }

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }

  bool start_object(std::size_t) override { return open(); }
  bool start_array(std::size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    if (names_.back().insert(name).second) return true;
    return refuse("it has the name " + quoted_text(name) + " twice in one object");
  }

  bool parse_error(std::size_t position, const std::string&, const Json::exception&) override {
    return refuse("it is not JSON at byte " + std::to_string(position));
  }

 private:
  bool open() {
    names_.emplace_back();
    if (names_.size() <= kMaximumDepth) return true;
    return refuse("it is nested deeper than " + std::to_string(kMaximumDepth) + " levels");
  }
  bool close() {
    names_.pop_back();
    return true;
  }
  bool refuse(std::string fault) {
    fault_ = std::move(fault);
    return false;
  }

  std::vector<std::set<std::string>> names_;  // of each object that is open; none of an array
  std::string fault_;
};

}  // namespace

std::string json_object_fault(std::string_view text) {
  if (!text.starts_with('{')) return "it does not begin with {";
  // To the parser byte 0 is the end of the text, whatever follows.
  if (const auto at = text.find('\0'); at != std::string_view::npos)
    return "byte " + std::to_string(at + 1) + " of it is 0";
  FaultFinder finder;
  Json::sax_parse(text, &finder);
  return finder.fault();
}

std::string quoted_text(const std::string& text) {
  const bool is_long = text.size() > kLongestQuote;
  return Json(text.substr(0, kLongestQuote))
             .dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace) +
         (is_long ? "..." : "");
}

}  // namespace zebra
