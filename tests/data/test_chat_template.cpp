#include "data/chat_template.h"

#include "base/error.h"
#include "data_support.h"

using namespace zebra;
using namespace zebra::test;

TEST_CASE("All built-in templates open", "[data][chat]") {
  CHECK(chat_template_names() == std::vector<std::string>{"chatml", "llama2", "llama3", "zephyr"});
  for (const auto& name : chat_template_names()) {
    const auto chat_template = open_chat_template(name);
    CHECK(chat_template.assistant.trained);
    CHECK_FALSE(chat_template.user.trained);
    CHECK(chat_template.system);
  }
}

TEST_CASE("A template that does not exist is refused with the names of those that do",
          "[data][chat]") {
  const auto message = message_of<InputError>([] { open_chat_template("chatlm"); });
  CHECK(contains(message, "chatlm: is neither"));
  CHECK(contains(message, "chatml, llama2, llama3, zephyr"));
}

TEST_CASE("All that is wrong with a template file is told at once", "[data][chat]") {
  const TempFolder folder;
  const auto message_for = [&folder](const std::string& yaml) {
    const auto file = folder.write("t.yaml", yaml);
    return message_of<InputError>([&file] { open_chat_template(file); });
  };
  const auto message = message_for(
      "trimm: true\nroles:\n  user: {prefx: x}\n  assistant: {trained: maybe}\n  tool: {}\n");
  CHECK(contains(message, "t.yaml:1"));
  CHECK(contains(message, "trim"));
  CHECK(contains(message, "prefix"));
  CHECK(contains(message, "roles.assistant.trained"));
  CHECK(contains(message, "tool"));
  CHECK(contains(message_for("begin: x\n"), "has no user"));
  CHECK(contains(message_for("begin: x\n"), "has no assistant"));
  CHECK(contains(message_for("system_in_user: true\nroles: {user: {}, assistant: {}}\n"),
                 "needs roles.system"));
  CHECK(contains(message_for("roles: {user: {}, assistant: {trained: false}}\n"),
                 "train none of the messages"));
}
