#include "data/foreign_tokens.h"

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/foreign_files.h"
#include "data/foreign_scan.h"
#include "data_support.h"

using namespace zebra;
using namespace zebra::test;

namespace {

using Ends = std::vector<std::uint64_t>;

/// The only token file at the path.
ForeignTokens only_at(const std::filesystem::path& path, std::int64_t token_bytes = 2) {
  auto found = find_foreign_tokens(path, token_bytes);
  REQUIRE(found.size() == 1);
  return found.front();
}

std::string refusal_at(const std::filesystem::path& path, std::int64_t token_bytes = 2) {
  return message_of<InputError>([&] { find_foreign_tokens(path, token_bytes); });
}

/// Which tokens count by the loss mask.
std::vector<int> counts_of(const ForeignTokens& tokens) {
  std::vector<int> counts;
  read_foreign_loss_mask(tokens.loss_mask.value(), tokens.tokens,
                         [&](auto part) { counts.insert(counts.end(), part.begin(), part.end()); });
  return counts;
}

}  // namespace

TEST_CASE("Megatron's pair of files", "[data][foreign]") {
  const TempFolder folder;
  folder.write("p.bin", id_bytes({7, 8, 9, 10, 11}, 2));
  folder.write("p.idx", megatron_index());
  for (const char* name : {"p.bin", "p.idx", "p"}) {
    const auto tokens = only_at(folder / name);
    CHECK(tokens.format == "Megatron");
    CHECK(tokens.file == folder / "p.bin");
    CHECK(tokens.token_bytes == 2);
    CHECK(tokens.tokens == 5);
    CHECK(tokens.part.first_byte == 0);
    CHECK(tokens.document_ends == Ends{3, 5});
    CHECK_FALSE(tokens.loss_mask);
  }
  CHECK(only_at(folder.path()).tokens == 5);
  folder.write("w.bin", id_bytes({7, 8, 9}, 8));
  folder.write("w.idx", megatron_index_of({2, 0, 1}, 5, 8) + std::string(3, '\1'));  // with modes
  CHECK(only_at(folder / "w.idx").document_ends == Ends{2, 3});
  CHECK(only_at(folder / "w.idx").token_bytes == 8);
}

TEST_CASE("What is wrong with Megatron's files is said", "[data][foreign]") {
  const TempFolder folder;
  const std::string index = megatron_index(), tokens = id_bytes({7, 8, 9, 10, 11}, 2);
  const auto refused = [&](const std::string& index_bytes, const std::string& token_bytes) {
    folder.write("p.idx", index_bytes);
    folder.write("p.bin", token_bytes);
    return refusal_at(folder / "p.idx");
  };
  for (std::size_t size = 0; size < index.size(); ++size)
    CHECK(contains(refused(index.substr(0, size), tokens), "p.idx: "));
  CHECK(contains(refused(index.substr(0, 50), tokens), "is truncated"));
  CHECK(contains(refused(index + "x", tokens), "p.idx: is too long"));
  CHECK(contains(refused(index, tokens.substr(1)), "p.bin: is truncated: 9 bytes where"));
  CHECK(contains(refused(index, tokens + "xx"), "p.bin: is too long"));
  auto other = index;
  other.replace(9, 8, swapped(little_endian(1, 8)));
  CHECK(contains(refused(other, tokens), "big-endian"));
  other = index;
  other[9] = 2;
  CHECK(contains(refused(other, tokens), "version 2"));
  other = index;
  other[17] = 7;
  CHECK(contains(refused(other, tokens), "type code 7"));
  other = index;
  other[50] = 8;  // the second sequence's place
  CHECK(contains(refused(other, tokens), "sequence 1"));
  other = index;
  other[74] = 1;  // the last document ends with sequence 1
  CHECK(contains(refused(other, tokens), "in no document"));
  other = index;
  other[25] = '\x7F';  // 2^62 sequences
  CHECK(contains(refused(other, tokens), "is truncated"));
  folder.write("alone.idx", index);
  CHECK(contains(refusal_at(folder / "alone.idx"), "alone.bin"));
}

TEST_CASE("datatrove's files", "[data][foreign]") {
  const TempFolder folder;
  folder.write("x.ds", id_bytes({1, 2, 3, 4}, 2));
  CHECK_FALSE(only_at(folder / "x.ds").document_ends);
  CHECK(only_at(folder / "x.ds", 4).tokens == 2);
  folder.write("x.ds.metadata", "some|tokenizer|2\n4\n4.00 T");
  folder.write("x.ds.index", id_bytes({3, 3, 4}, 8));
  folder.write("x.ds.loss", std::string("\1\0\1\1", 4));
  const auto tokens = only_at(folder / "x.ds", 4);
  CHECK(tokens.format == "datatrove");
  CHECK(tokens.token_bytes == 2);
  CHECK(tokens.document_ends == Ends{3, 4});
  REQUIRE(tokens.loss_mask);
  CHECK(tokens.loss_mask->file == folder / "x.ds.loss");

  folder.write("x.ds.metadata", "some|tokenizer|2\n5\n5.00 T");
  CHECK(contains(refusal_at(folder / "x.ds"), "x.ds: is truncated: 8 bytes where"));
  std::filesystem::remove(folder / "x.ds.metadata");
  folder.write("x.ds.index", id_bytes({3, 5}, 8));
  CHECK(contains(refusal_at(folder / "x.ds"), "document 1 ends at token 5"));
  folder.write("x.ds.index", id_bytes({3}, 8));
  CHECK(contains(refusal_at(folder / "x.ds"), "has 4 tokens where"));
  folder.write("x.ds.index", swapped(little_endian(3, 8)) + swapped(little_endian(4, 8)));
  CHECK(contains(refusal_at(folder / "x.ds"), "big-endian"));
  folder.write("x.ds.index", "1234");
  CHECK(contains(refusal_at(folder / "x.ds"), "x.ds.index: is truncated"));
  std::filesystem::remove(folder / "x.ds.index");
  folder.write("x.ds.loss", "\1");
  CHECK(contains(refusal_at(folder / "x.ds"), "x.ds.loss: is truncated"));
  folder.write("x.ds", "odd");
  CHECK(contains(refusal_at(folder / "x.ds"), "no whole tokens"));

  folder.write("merged/000_set.ds", id_bytes({1, 2, 3}, 4));
  folder.write("merged/set.ds.metadata", "name|4\n300\n300 T");  // of all files of the set
  CHECK(only_at(folder / "merged").tokens == 3);
}

TEST_CASE("llm.c's files of both kinds", "[data][foreign]") {
  const TempFolder folder;
  folder.write("a.bin", llm_c_file(20240520, 1, 2, {50, 51, 52}));
  const auto gpt2 = only_at(folder / "a.bin");
  CHECK(gpt2.format == "llm.c");
  CHECK(gpt2.token_bytes == 2);
  CHECK(gpt2.tokens == 3);
  CHECK(gpt2.part.first_byte == 1024);
  CHECK(gpt2.separator_place == SeparatorPlace::start);
  CHECK_FALSE(gpt2.separator_is_bos);
  folder.write("a.bin", llm_c_file(20240801, 7, 4, {50, 51, 52}));
  CHECK(only_at(folder / "a.bin").token_bytes == 4);
  CHECK(only_at(folder / "a.bin").separator_is_bos);

  const std::string whole = llm_c_file(20240520, 1, 2, {50, 51, 52});
  folder.write("a.bin", whole.substr(0, 1000));
  CHECK(contains(refusal_at(folder / "a.bin"), "is truncated: its header"));
  folder.write("a.bin", whole.substr(0, 1029));
  CHECK(contains(refusal_at(folder / "a.bin"), "is truncated: 1,029 bytes where"));
  folder.write("a.bin", whole + "x");
  CHECK(contains(refusal_at(folder / "a.bin"), "is too long"));
  folder.write("a.bin", llm_c_file(20240520, 2, 2, {50}));
  CHECK(contains(refusal_at(folder / "a.bin"), "version 2"));
  folder.write("a.bin", llm_c_file(20240520, 1, 2, {}));
  CHECK(contains(refusal_at(folder / "a.bin"), "has 0 tokens"));
  folder.write("a.bin", swapped(little_endian(20240520, 4)) + whole.substr(4));
  CHECK(contains(refusal_at(folder / "a.bin"), "big-endian"));
}

TEST_CASE("llm.q's files and their masks", "[data][foreign]") {
  const TempFolder folder;
  folder.write("q.bin", llm_q_file({5, 6, 7}, ""));
  CHECK(only_at(folder / "q.bin").format == "llm.q");
  CHECK_FALSE(only_at(folder / "q.bin").loss_mask);
  folder.write("q.bin", llm_q_file({5, 6, 7, 8, 9, 10, 11, 12, 13}, "\x05\x01"));
  const auto masked = only_at(folder / "q.bin");
  REQUIRE(masked.loss_mask);
  CHECK(masked.loss_mask->is_bits);
  CHECK(masked.loss_mask->first_byte == 1024 + 36);
  CHECK(masked.tokens == 9);
  CHECK_FALSE(masked.document_ends);
  CHECK(counts_of(masked) == std::vector<int>{1, 0, 1, 0, 0, 0, 0, 0, 1});
  folder.write("q.bin", llm_q_file({5, 6, 7, 8, 9, 10, 11, 12, 13}, "\x05"));
  CHECK(contains(refusal_at(folder / "q.bin"), "is truncated"));
}

TEST_CASE("Positions of llm.q's third version separate documents", "[data][foreign]") {
  const TempFolder folder;
  const std::vector<std::uint64_t> ids = {5, 6, 7, 8, 9, 10, 11, 12, 13};
  const std::vector<std::uint64_t> positions = {0, 1, 2, 0, 1, 2, 0, 0, 0};  // the last are padding
  folder.write("q.bin", llm_q_file(ids, "\x15\x01", positions));
  const auto tokens = only_at(folder / "q.bin");
  CHECK(tokens.document_ends == Ends{3, 6, 9});
  REQUIRE(tokens.loss_mask);
  CHECK(tokens.loss_mask->first_byte == 1024 + 36 + 36);
  // A bit says whether the token behind it counts.
  CHECK(counts_of(tokens) == std::vector<int>{0, 1, 0, 1, 0, 1, 0, 0, 0});
  folder.write("q.bin", llm_q_file({5, 6, 7}, "", {4, 5, 1}));
  CHECK(only_at(folder / "q.bin").document_ends == Ends{2, 3});
  CHECK_FALSE(only_at(folder / "q.bin").loss_mask);
  folder.write("q.bin", llm_q_file(ids, "\x15", positions));
  CHECK(contains(refusal_at(folder / "q.bin"), "is truncated"));
}

TEST_CASE("OLMo's arrays, raw and with a header of NumPy", "[data][foreign]") {
  const TempFolder folder;
  folder.write("r.npy", id_bytes({5, 6, 7}, 4));
  CHECK(only_at(folder / "r.npy", 4).tokens == 3);
  CHECK(only_at(folder / "r.npy", 2).tokens == 6);
  CHECK(contains(refusal_at(folder / "r.npy", 8), "no whole tokens"));
  folder.write("r.csv.gz", gzip("0,1,id,source,3\n1,3"));
  CHECK(only_at(folder / "r.npy", 4).document_ends == Ends{1, 3});
  folder.write("r.csv.gz", gzip("0,1\n2,3\n"));
  CHECK(contains(refusal_at(folder / "r.npy", 4), "line 2"));
  folder.write("r.csv.gz", gzip("0,1\n"));
  CHECK(contains(refusal_at(folder / "r.npy", 4), "end at token 1 of 3"));

  folder.write("n.npy", numpy_file("<u2", {5, 6, 7}, 2));
  const auto array = only_at(folder / "n.npy", 4);
  CHECK(array.format == "NumPy");
  CHECK(array.token_bytes == 2);
  CHECK(array.tokens == 3);
  CHECK(array.part.first_byte == 128);
  folder.write("n.npy", numpy_file(">u2", {5, 6, 7}, 2));
  CHECK(contains(refusal_at(folder / "n.npy"), "big-endian"));
  folder.write("n.npy", numpy_file("<f4", {5, 6, 7}, 4));
  CHECK(contains(refusal_at(folder / "n.npy"), "'<f4'"));
  folder.write("n.npy", numpy_file("<u2", {5, 6, 7}, 2).substr(0, 132));
  CHECK(contains(refusal_at(folder / "n.npy"), "is truncated: 132 bytes where"));
  folder.write("n.npy", numpy_file("<u2", {5, 6, 7}, 2).substr(0, 20));
  CHECK(contains(refusal_at(folder / "n.npy"), "truncated within"));
}

TEST_CASE("OLMo's loss masks are found by their names", "[data][foreign]") {
  using std::string_view_literals::operator""sv;
  const TempFolder folder;
  folder.write("set/token_ids_part_0000.npy", id_bytes({5, 6, 7}, 4));
  folder.write("set/labels_mask_part_0000.npy", std::string("\0\1\1"sv));
  folder.write("set/tokens.npy", id_bytes({8}, 4));
  const auto all = find_foreign_tokens(folder / "set", 4);
  REQUIRE(all.size() == 2);
  CHECK(counts_of(all[0]) == std::vector<int>{0, 1, 1});
  CHECK_FALSE(all[1].loss_mask);
  folder.write("input_ids.npy", id_bytes({5, 6}, 2));
  folder.write("label_mask.npy", std::string("\1\0"sv));
  CHECK(counts_of(only_at(folder / "input_ids.npy")) == std::vector<int>{1, 0});
  folder.write("label_mask.npy", "\1");
  CHECK(contains(refusal_at(folder / "input_ids.npy"), "label_mask.npy: is truncated"));
  CHECK(contains(refusal_at(folder / "label_mask.npy"), "is a loss mask"));
}

TEST_CASE("litdata's chunks of tokens", "[data][foreign]") {
  const TempFolder folder;
  folder.write("d/chunk-0.bin", litdata_chunk({{5, 6}, {}, {7}}, 8));  // at no multiple of 8
  folder.write("d/chunk-1.bin", litdata_chunk({{8, 9}}, 8));
  const std::string chunks =
      R"({"filename": "chunk-0.bin", "dim": 3}, {"filename": "chunk-1.bin", "dim": 2})";
  folder.write("d/index.json", litdata_index("no_header_tensor:18", chunks));
  const auto found = find_foreign_tokens(folder / "d", 2);
  REQUIRE(found.size() == 2);
  CHECK(found[0].format == "litdata");
  CHECK(found[0].part.first_byte == 20);
  CHECK(found[0].token_bytes == 8);
  CHECK(found[0].document_ends == Ends{2, 3});
  CHECK(found[1].document_ends == Ends{2});

  const auto refused = [&](const std::string& index) {
    folder.write("d/index.json", index);
    return refusal_at(folder / "d");
  };
  CHECK(contains(refused(litdata_index("no_header_tensor:1", chunks)), "no_header_tensor:1"));
  CHECK(contains(refused(litdata_index("no_header_tensor:18", chunks, "\"zstd\"")), "compression"));
  CHECK(contains(refused("[]"), "no index of litdata"));
  // Of all chunks at once.
  folder.write("d/chunk-1.bin", litdata_chunk({{8, 9}}, 8).substr(0, 20));
  const auto both = refused(litdata_index(
      "no_header_tensor:18",
      R"({"filename": "chunk-0.bin", "dim": 4}, {"filename": "chunk-1.bin", "dim": 2})"));
  CHECK(contains(both, "chunk-0.bin: has 3 tokens where"));
  CHECK(contains(both, "chunk-1.bin: is truncated"));
}

TEST_CASE("What is no token file is refused with what would be one", "[data][foreign]") {
  const TempFolder folder;
  folder.write("text/a.txt", "text");
  folder.write("some.bin", "not tokens at all");
  folder.write("d/dataset.json", "{}");
  CHECK(contains(refusal_at(folder / "none"), "does not exist"));
  CHECK(contains(refusal_at(folder / "text"), "holds no token file"));
  CHECK(contains(refusal_at(folder / "text/a.txt"), "zebra data pack"));
  CHECK(contains(refusal_at(folder / "some.bin"), "known format"));
  CHECK(contains(refusal_at(folder / "d"), "zebra data merge"));
  for (const char* name : {"none", "text", "some.bin", "d"})
    CHECK_FALSE(names_foreign_tokens(folder / name));
  folder.write("text/b/c.npy", id_bytes({1}, 2));
  folder.write("text/.hidden/d.npy", id_bytes({1}, 2));
  CHECK(names_foreign_tokens(folder / "text"));
  CHECK(find_foreign_tokens(folder / "text", 2).size() == 1);
}
