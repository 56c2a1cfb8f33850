#include <nlohmann/json.hpp>

#include "config/catalogue.h"
#include "config/load.h"
#include "support/catch.h"

using namespace zebra;
using Json = nlohmann::json;

namespace {

/// Walks the schema along a dotted key ("data.train[].path").
Json property(const Json& schema, const std::string& key) {
  const std::size_t dot = key.find('.');
  std::string name = key.substr(0, dot);
  const bool element = name.ends_with("[]");
  if (element) name.resize(name.size() - 2);
  Json found = schema.at("properties").at(name);
  if (element) found = found.at("items");
  return dot == std::string::npos ? found : property(found, key.substr(dot + 1));
}

}  // namespace

TEST_CASE("The schema knows every key and no other") {
  const Json schema = Json::parse(config_schema());
  CHECK(schema.at("$schema") == "http://json-schema.org/draft-07/schema#");
  CHECK(schema.at("additionalProperties") == false);
  CHECK(schema.at("patternProperties").contains("^x-"));
  CHECK(schema.at("properties").size() == 10);
  for (const KeyInfo* info : leaves(catalogue())) {
    INFO(info->key);
    const Json entry = property(schema, info->key);
    CHECK(entry.at("description").get<std::string>().starts_with(info->help));
    CHECK(entry.contains("type"));
  }
  for (const std::string group : {"model", "model.rope_scaling", "data.train[]", "logging"}) {
    CHECK(property(schema, group).at("additionalProperties") == false);
  }
}

TEST_CASE("The schema states types, bounds, choices and defaults") {
  const Json schema = Json::parse(config_schema());
  const Json seed = property(schema, "run.seed");
  CHECK(seed.at("type") == "integer");
  CHECK(seed.at("default") == 1);
  CHECK(seed.at("minimum") == 0);
  const Json rate = property(schema, "optimizer.lr");
  CHECK(rate.at("type") == "number");
  CHECK(rate.at("exclusiveMinimum") == 0);
  CHECK(rate.at("default").get<double>() == 3e-4);
  CHECK_FALSE(rate.contains("minimum"));
  const Json betas = property(schema, "optimizer.betas");
  CHECK(betas.at("type") == "array");
  CHECK(betas.at("minItems") == 2);
  CHECK(betas.at("maxItems") == 2);
  CHECK(betas.at("items").at("exclusiveMaximum") == 1);
  CHECK(betas.at("default") == Json::parse("[0.9, 0.95]"));
  const Json type = property(schema, "schedule.type");
  CHECK(type.at("enum") == Json::parse(R"(["cosine", "wsd", "constant"])"));
  CHECK(type.at("default") == "cosine");
  // Choices that began as switches: `true` is no text in YAML.
  const Json sink = property(schema, "model.attention_sink");
  CHECK(sink.at("type") == Json::parse(R"(["boolean", "string"])"));
  CHECK(sink.at("enum") == Json::parse(R"([false, true, "all"])"));
  CHECK(sink.at("default") == false);
  CHECK(property(schema, "model.preset").at("enum").size() == 5);
  CHECK(property(schema, "data.document_mask").at("default") == true);
  CHECK(property(schema, "data.train[]").at("required") == Json::parse(R"(["path"])"));
  CHECK_FALSE(property(schema, "model.head_dim").contains("default"));
  CHECK(property(schema, "model.head_dim").at("maximum") == 256);
}
