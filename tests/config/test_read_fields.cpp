#include "config/read_fields.h"

#include <cstdlib>

#include "config/run_file.h"
#include "support/catch.h"

using namespace zebra;
using Catch::Matchers::Contains;

namespace {

/// What is said about one overridden key, without the place.
std::string complaint(const std::string& override_text) {
  const std::string message = refusal_with({override_text});
  const std::string place = "--set " + override_text + ": ";
  return message.starts_with(place) ? message.substr(place.size()) : message;
}

}  // namespace

TEST_CASE("Whole numbers may be written in several ways") {
  CHECK(config_with({"train.max_steps=1e3"}).train.max_steps == 1000);
  CHECK(config_with({"train.max_steps=2.5e3"}).train.max_steps == 2500);
  CHECK(config_with({"train.max_steps=+77"}).train.max_steps == 77);
  CHECK(config_with({"train.max_steps='88'"}).train.max_steps == 88);
  CHECK(config_with({"run.seed=9007199254740993"}).run.seed == 9007199254740993);  // 2^53 + 1
  CHECK(config_with({"run.seed=9223372036854775807"}).run.seed == 9223372036854775807);
}

TEST_CASE("What is no whole number is refused") {
  for (const std::string text : {"abc", "1.5", "1_000", "0x10", "12a", "1e-3", "1e30", "nan",
                                 "-inf", "9223372036854775808", "true", "+-5"}) {
    CHECK(complaint("train.max_steps=" + text) ==
          "train.max_steps: \"" + text + "\" is not an integer");
  }
  CHECK(complaint("train.max_steps=[1]") == "train.max_steps: must be an integer, not a list");
  CHECK(complaint("train.max_steps={a: 1}")
            .starts_with("train.max_steps: must be an integer, not a map"));
}

TEST_CASE("Numbers must be numbers, finite and in range") {
  CHECK(config_with({"optimizer.lr=1e-3"}).optimizer.lr == 0.001);
  CHECK(config_with({"optimizer.lr=.5"}).optimizer.lr == 0.5);
  CHECK(config_with({"optimizer.lr=3"}).optimizer.lr == 3.0);
  for (const std::string text : {"fast", "nan", "inf", "-inf", ".inf", ".nan", "1e999", "1,5"}) {
    CHECK(complaint("optimizer.lr=" + text) ==
          "optimizer.lr: \"" + text + "\" is not a finite number");
  }
  CHECK(complaint("optimizer.lr=0") == "optimizer.lr: must be greater than 0, not 0");
  CHECK(complaint("optimizer.lr=-1e-3") == "optimizer.lr: must be greater than 0, not -1e-3");
  CHECK(complaint("schedule.min_lr_ratio=1.5") ==
        "schedule.min_lr_ratio: must be from 0 to 1, not 1.5");
  CHECK(complaint("optimizer.lr={}") == "optimizer.lr: must be a number, not a map");
}

TEST_CASE("Booleans are true or false") {
  CHECK(config_with({"data.document_mask=false"}).data.document_mask == false);
  CHECK(config_with({"model.tie_word_embeddings=true"}).model.tie_word_embeddings == true);
  for (const std::string text : {"yes", "1", "True", "off"}) {
    CHECK(complaint("data.document_mask=" + text) ==
          "data.document_mask: \"" + text + "\" is not true or false");
  }
}

TEST_CASE("Choices are refused with all of them, and the nearest") {
  CHECK(config_with({"train.precision=bf16"}).train.precision == Precision::bf16);
  CHECK(complaint("train.precision=fp16") ==
        "train.precision: \"fp16\" is not one of fp32, bf16; did you mean fp32?");
  CHECK(complaint("run.device=quantum") == "run.device: \"quantum\" is not one of auto, cpu, cuda");
  CHECK(complaint("schedule.type=[wsd]") ==
        "schedule.type: must be one of cosine, wsd, constant, not a list");
}

TEST_CASE("The betas are two numbers below one") {
  const RunFile config = config_with({"optimizer.betas=[0, 0.999]"});
  CHECK(config.optimizer.betas == std::array<double, 2>{0.0, 0.999});
  for (const std::string text : {"0.9", "[0.9]", "[0.9, 0.95, 0.99]", "{a: 1}"}) {
    CHECK(complaint("optimizer.betas=" + text) ==
          "optimizer.betas: must be a list of two numbers, such as [0.9, 0.95]");
  }
  CHECK(complaint("optimizer.betas=[0.9, 1]") ==
        "optimizer.betas: must be at least 0, below 1, not 1");
  CHECK(complaint("optimizer.betas=[-0.1, 0.9]") ==
        "optimizer.betas: must be at least 0, below 1, not -0.1");
  CHECK(complaint("optimizer.betas=[0.9, x]") == "optimizer.betas: \"x\" is not a finite number");
}

TEST_CASE("Paths become absolute and normal") {
  const auto here = std::filesystem::current_path();
  CHECK(config_with({"run.dir=a/./b/../c/"}).run.dir == here / "a/c");
  CHECK(config_with({"run.dir=/x//y/"}).run.dir == "/x/y");
  CHECK(config_with({"data.tokenizer=../t.model"}).data.tokenizer ==
        here.parent_path() / "t.model");
  CHECK(config_with({"data.train=[{path: d}]"}).data.train.at(0).path == here / "d");
  CHECK(complaint("run.dir=''") == "run.dir: must not be empty");
  CHECK(complaint("run.name=''") == "run.name: must not be empty");
}

TEST_CASE("Environment variables are expanded in every kind of value") {
  ::setenv("ZEBRA_TEST_DATA", "/corpora", 1);
  ::setenv("ZEBRA_TEST_STEPS", "44", 1);
  ::unsetenv("ZEBRA_TEST_NONE");
  const RunFile config =
      config_with({"data.train=[{path: \"${ZEBRA_TEST_DATA}/books\"}]",
                   "train.max_steps=${ZEBRA_TEST_STEPS}", "run.name=at-${ZEBRA_TEST_STEPS}-$${X}"});
  CHECK(config.data.train.at(0).path == "/corpora/books");
  CHECK(config.train.max_steps == 44);
  CHECK(config.run.name == "at-44-${X}");
  CHECK(complaint("run.name=${ZEBRA_TEST_NONE}")
            .starts_with("run.name: environment variable ZEBRA_TEST_NONE is not set; export it"));
  CHECK_THAT(
      refusal_of(kRunFile + "eval:\n  max_tokens: ${ZEBRA_TEST_NONE}\n"),
      Contains("run.yaml:9: eval.max_tokens: environment variable ZEBRA_TEST_NONE is not set"));
}

TEST_CASE("Lists of sources are read, and refused element by element") {
  const RunFile config =
      config_with({"data.train=[{path: a, weight: 3}, {weight: 0.25, path: b}]"});
  REQUIRE(config.data.train.size() == 2);
  CHECK(config.data.train[0].weight == 3.0);
  CHECK(config.data.train[1].weight == 0.25);
  CHECK(config.data.validation.empty());
  CHECK(complaint("data.train=[]") ==
        "data.train: missing: give the datasets to train on, such as [{path: FOLDER}]");
  CHECK(complaint("data.train=a") ==
        "data.train: must be a list of maps, such as [{path: FOLDER}], not \"a\"");
  CHECK(complaint("data.train=[a]") ==
        "data.train[0]: must be a map, such as {path: FOLDER}, not \"a\"");
  CHECK(complaint("data.train=[{path: a, weight: 1}, {weight: 2}]") ==
        "data.train[1].path: missing, and it has no default; give it");
  CHECK(complaint("data.train=[{path: a, weight: 0}]") ==
        "data.train[0].weight: must be greater than 0, not 0");
  CHECK(complaint("data.train=[{path: a, weight: -1}]") ==
        "data.train[0].weight: must be greater than 0, not -1");
  CHECK(complaint("data.train=[{path: a, weight: inf}]") ==
        "data.train[0].weight: \"inf\" is not a finite number");
}

TEST_CASE("A source of training has a loss weight, one of validation has none") {
  const RunFile config = config_with({"data.train=[{path: a}, {path: b, loss_weight: 40}]"});
  CHECK(config.data.train.at(0).loss_weight == 1.0);
  CHECK(config.data.train.at(1).loss_weight == 40.0);
  CHECK(complaint("data.train=[{path: a, loss_weight: 0}]") ==
        "data.train[0].loss_weight: must be from 1e-06 to 1e+06, not 0; leave a source that "
        "shall not count out of the list");
  CHECK_THAT(complaint("data.train=[{path: a}, {path: b, loss_weight: -2}]"),
             Contains("data.train[1].loss_weight: must be from") && Contains("not -2"));
  CHECK(complaint("data.train=[{path: a, loss_weight: nan}]") ==
        "data.train[0].loss_weight: \"nan\" is not a finite number");
  const auto both =
      refusal_with({"data.train=[{path: a, loss_weight: 0}, {path: b, loss_weight: much}]"});
  CHECK_THAT(both, Contains("data.train[0].loss_weight") && Contains("data.train[1].loss_weight"));
  CHECK_THAT(refusal_with({"data.validation=[{path: v, loss_weight: 2}]"}),
             Contains("data.validation[0].loss_weight: unknown key"));
}

TEST_CASE("An empty value unsets what has no fixed default, and is refused elsewhere") {
  CHECK(config_with({"model.head_dim=4", "model.head_dim="}).model.head_dim == 8);
  CHECK(config_with({"model.vocab_size=null"}).model.vocab_size == std::nullopt);
  CHECK(config_with({"train.micro_batch_size="}).train.micro_batch_size == 12);
  CHECK(complaint("optimizer.lr=") == "optimizer.lr: has no value; give one, or remove the key");
  CHECK(complaint("data.train=").starts_with("data.train: must be a list of maps"));
  CHECK(config_with({"eval="}).eval.every_steps == 0);
}

TEST_CASE("A section that is no map is refused once") {
  CHECK(refusal_with({"train=3"}) == "--set train=3: train: must be a map of keys, not \"3\"");
  CHECK(
      refusal_with({"model.rope_scaling=linear"}) ==
      "--set model.rope_scaling=linear: model.rope_scaling: must be a map of keys, not \"linear\"");
}

TEST_CASE("Missing required keys are named where their section stands") {
  CHECK(refusal_of("") ==
        "run.yaml: run.dir: missing, and it has no default; give it\n"
        "run.yaml: model.hidden_size: missing, and it has no default; give it, or choose a "
        "model.preset or model.init_from\n"
        "run.yaml: model.intermediate_size: missing, and it has no default; give it, or choose a "
        "model.preset or model.init_from\n"
        "run.yaml: model.num_hidden_layers: missing, and it has no default; give it, or choose a "
        "model.preset or model.init_from\n"
        "run.yaml: model.num_attention_heads: missing, and it has no default; give it, or choose a "
        "model.preset or model.init_from\n"
        "run.yaml: data.tokenizer: missing, and it has no default; give it\n"
        "run.yaml: data.sequence_length: missing, and it has no default; give it\n"
        "run.yaml: train.max_steps: missing, and it has no default; give it, or "
        "train.max_tokens\n"
        "run.yaml: train.global_batch_size: missing, and it has no default; give it\n"
        "run.yaml: data.train: missing: give the datasets to train on, such as [{path: FOLDER}]");
  std::string yaml = kRunFile;
  yaml.erase(yaml.find("max_steps: 21, "), 15);
  CHECK(refusal_of(yaml) ==
        "run.yaml:6: train.max_steps: missing, and it has no default; give it, or "
        "train.max_tokens");
}

TEST_CASE("Names and paths have no control characters") {
  CHECK(refusal_with({"run.name=\"a\\nb\""})
            .ends_with(": run.name: \"a\nb\" has control characters; leave them out"));
  CHECK_THAT(refusal_with({"run.dir=\"a\\eb\""}), Contains("run.dir: "));
  CHECK_THAT(refusal_with({"data.train=[{path: \"a\\x7fb\"}]"}),
             Contains("has control characters"));
}

TEST_CASE("Paths may begin in the home folder") {
  ::setenv("HOME", "/home/of/mine", 1);
  CHECK(config_with({"run.dir=~/runs/x"}).run.dir == "/home/of/mine/runs/x");
  CHECK(config_with({"data.train=[{path: ~/a}]"}).data.train[0].path == "/home/of/mine/a");
  CHECK(config_with({"run.name=~/x"}).run.name == "~/x");
  CHECK(config_with({"run.dir=/x/~/y"}).run.dir == "/x/~/y");
  ::unsetenv("HOME");
  CHECK_THAT(refusal_with({"run.dir=~/x"}),
             Contains("run.dir: \"~/x\" is in the home folder, but"));
}
