#include "config/environment.h"

#include <cstdlib>

#include "base/error.h"

namespace zebra {
namespace {

bool is_variable_name(const std::string& name) {
  const std::string letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
  return !name.empty() && letters.find(name.front()) != std::string::npos &&
         name.find_first_not_of(letters + "0123456789") == std::string::npos;
}

std::string value_of_variable(const std::string& name) {
  if (!is_variable_name(name)) {
    throw InputError("${" + name + "} names no environment variable; write $${ for a literal ${");
  }
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) {
    throw InputError("environment variable " + name + " is not set; export it, or write $${" +
                     name + "} for the literal text");
  }
  return value;
}

}  // namespace

std::string expand_variables(const std::string& text) {
  std::string expanded;
  for (std::size_t i = 0; i < text.size();) {
    if (text.compare(i, 3, "$${") == 0) {
      expanded += "${";
      i += 3;
    } else if (text.compare(i, 2, "${") == 0) {
      const std::size_t end = text.find('}', i);
      if (end == std::string::npos) {
        throw InputError("${ without }; write $${ for a literal ${");
      }
      expanded += value_of_variable(text.substr(i + 2, end - i - 2));
      i = end + 1;
    } else {
      expanded += text[i++];
    }
  }
  return expanded;
}

std::string escape_variables(const std::string& text) {
  std::string escaped;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.compare(i, 2, "${") == 0) escaped += '$';
    escaped += text[i];
  }
  return escaped;
}

}  // namespace zebra
