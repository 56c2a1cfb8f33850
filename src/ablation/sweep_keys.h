#pragma once

#include <array>
#include <string>

#include "config/catalogue.h"
#include "config/report.h"
#include "config/value.h"

namespace zebra {

/// The key that arms of one group differ in.
inline constexpr const char* kSeedKey = "run.seed";

/// A layout given as a pattern makes run files ignore these keys.
inline constexpr const char* kPatternKey = "model.attention_pattern";
inline constexpr std::array<const char*, 3> kLayoutShortForms = {
    "model.self_attn_type", "model.layer_group_size", "model.global_layer"};

/// A key or section of run files by its dotted name, or null.
const KeyInfo* find_run_key(const std::string& key);

/// Whether a sweep may set the key: it is a key of run files with a value of its own, and none of
/// those that tell the arms' runs apart. Otherwise the report says why, in the place of `written`;
/// an unknown key with the nearest known one.
bool check_sweep_key(const Entry& written, Report& report);

}  // namespace zebra
