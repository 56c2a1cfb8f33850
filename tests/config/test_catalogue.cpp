#include "config/catalogue.h"

#include <set>

#include "support/catch.h"

using namespace zebra;

TEST_CASE("The catalogue has the ten sections of a run file") {
  std::vector<std::string> sections;
  for (const KeyInfo& section : catalogue().children) sections.push_back(section.key);
  CHECK(sections == std::vector<std::string>{"run", "model", "data", "optimizer", "schedule",
                                             "train", "parallel", "checkpoint", "eval", "logging"});
}

TEST_CASE("Keys are dotted and unique, and each has a sentence of help") {
  std::set<std::string> keys;
  for (const KeyInfo* info : leaves(catalogue())) {
    INFO(info->key);
    CHECK(keys.insert(info->key).second);
    CHECK(info->help.size() > 10);
    CHECK(info->help.back() == '.');
  }
  for (const std::string key : {"run.dir", "model.rope_scaling.factor", "data.train",
                                "data.train[].path", "data.validation[].weight", "train.max_steps",
                                "optimizer.betas", "model.attention_pattern"}) {
    CHECK(keys.contains(key));
  }
  CHECK_FALSE(keys.contains("model.rope_scaling"));
}

TEST_CASE("Every key is required, or has a default, or says where its default comes from") {
  for (const KeyInfo* info : leaves(catalogue())) {
    INFO(info->key);
    const int ways = (info->rules.is_required ? 1 : 0) + (info->default_text ? 1 : 0) +
                     (info->rules.default_note.empty() ? 0 : 1);
    CHECK(ways == 1);
  }
}

TEST_CASE("Types, defaults and choices follow from the struct") {
  const KeyInfo* optimizer = catalogue().find("optimizer");
  REQUIRE(optimizer != nullptr);
  CHECK(optimizer->find("lr")->type == KeyType::number);
  CHECK(*optimizer->find("lr")->default_text == "3.0e-04");
  CHECK(*optimizer->find("betas")->default_text == "[0.9, 0.95]");
  CHECK(optimizer->find("betas")->type == KeyType::pair);
  const KeyInfo* model = catalogue().find("model");
  CHECK(model->find("window_size")->type == KeyType::integer);
  CHECK(model->find("rope_scaling")->type == KeyType::group);
  CHECK(model->find("self_attn_type")->rules.choices ==
        std::vector<std::string>{"mix", "full", "local"});
  CHECK(model->find("preset")->rules.choices.size() == 5);
  CHECK(catalogue().find("data")->find("train")->type == KeyType::list);
  CHECK(*catalogue().find("data")->find("document_mask")->default_text == "true");
  CHECK(catalogue().find("nothing") == nullptr);
}

TEST_CASE("Keys and groups are found by their dotted names") {
  REQUIRE(catalogue().find_dotted("model.rope_scaling.factor") != nullptr);
  CHECK(catalogue().find_dotted("model.rope_scaling.factor")->name == "factor");
  REQUIRE(catalogue().find_dotted("model") != nullptr);
  CHECK(catalogue().find_dotted("model")->type == KeyType::group);
  for (const char* none : {"", "model.", ".model", "model.windw", "model.window_size.x",
                           "data.train.path", "window_size"}) {
    CAPTURE(none);
    CHECK(catalogue().find_dotted(none) == nullptr);
  }
}
