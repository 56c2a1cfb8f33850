#include "base/message.h"

#include <new>
#include <stdexcept>

#include "base/error.h"
#include "support/catch.h"

namespace zebra {
namespace {

TEST_CASE("control characters become visible, and letters of all scripts stay") {
  CHECK(printable("plain naïve 日本 \xF0\x9F\x90\x88") == "plain naïve 日本 \xF0\x9F\x90\x88");
  CHECK(printable("\x1b[31mred\x07\r\n\t\x7f") == "\\x1b[31mred\\x07\\x0d\\n\\t\\x7f");
  CHECK(printable("two\nlines\t", "\n\t") == "two\nlines\t");
  CHECK(printable("\xc2\x9b"
                  "31m") == "\\x9b31m");       // CSI as one character
  CHECK(printable("\xc2\xa0") == "\xc2\xa0");  // a space that does not break
  CHECK(printable(std::string("a\0b", 3)) == "a\\x00b");
  CHECK(printable("cut \xc2") == "cut \xc2");
  CHECK(has_control_characters("a\nb"));
  CHECK(has_control_characters("\xc2\x85"));
  CHECK_FALSE(has_control_characters("naïve"));
}

TEST_CASE("a word of a shell's command line stands for exactly the text") {
  CHECK(shell_word("runs/tiny@40") == "runs/tiny@40");
  CHECK(shell_word("a b") == "'a b'");
  CHECK(shell_word("$(touch x); `y`") == "'$(touch x); `y`'");
  CHECK(shell_word("it's") == "'it'\\''s'");
  CHECK(shell_word("") == "''");
  CHECK(shell_word("~/x") == "'~/x'");
}

TEST_CASE("every library's exception becomes one line for people") {
  CHECK(failure_text(std::bad_alloc()) == "out of memory");
  CHECK(failure_text(std::length_error("vector::_M_default_append")) == "out of memory");
  const std::runtime_error torch(
      "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: "
      "you tried to allocate 4398046511104 bytes. Error code 12 (Cannot allocate memory)\n"
      "Exception raised from alloc_cpu at ...\nframe #0: ...");
  CHECK(failure_text(torch) == "out of memory: 4.00 TiB were wanted at once");
  const std::runtime_error gpu("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore");
  CHECK(failure_text(gpu) == "CUDA out of memory. Tried to allocate 2.00 GiB.");
  CHECK(failure_text(InputError("two\nproblems")) == "two\nproblems");
  CHECK(failure_text(std::runtime_error("odd\nException raised from f")) == "odd");
  CHECK(is_out_of_memory(torch));
  CHECK_FALSE(is_out_of_memory(std::runtime_error("disk full")));
}

}  // namespace
}  // namespace zebra
