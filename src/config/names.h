#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// The choices that a run file has, and what each is called there, in the order in which help lists
// them.

namespace zebra {

enum class LayerKind { global, local };

enum class Device { automatic, cpu, cuda };
enum class SelfAttention { mix, full, local };
enum class GlobalLayer { first, last };
enum class AlwaysGlobal { none, first, last, both };
enum class RopeScaling { none, linear, dynamic, yarn, llama3 };
enum class ScaledLayers { all, global };
enum class NormPlacement { pre, reordered };
enum class QkNorm { none, head, projection };
enum class AttentionSink { none, local, all };
enum class OptimizerType { adamw, muon };
enum class MuonScale { original, match_rms_adamw, spectral_unclamped };
enum class ScheduleType { cosine, wsd, constant };
enum class Precision { fp32, bf16 };
enum class ActivationCheckpointing { none, full, selective, every_2 };
enum class Sharding { none, optimizer, gradients, full };
enum class WhenBusy { wait, skip };
enum class Packing { concat, whole };
enum class Overflow { error, drop, split };
enum class LossWeighting { token, sequence };
enum class AlertFigure {
  loss,
  grad_norm,
  spike_score,
  grad_norm_spike_score,
  layer_grad_norm,
  update_ratio,
  activation_rms,
  attention_logit_lower,
  attention_logit_upper,
  log_z_rms
};
enum class AlertAction { log, checkpoint, stop };

template <class E, std::size_t N>
using NameTable = std::array<std::pair<E, std::string_view>, N>;

template <class E>
struct EnumNames;

template <>
struct EnumNames<Device> {
  static constexpr NameTable<Device, 3> kTable{
      {{Device::automatic, "auto"}, {Device::cpu, "cpu"}, {Device::cuda, "cuda"}}};
};

template <>
struct EnumNames<SelfAttention> {
  static constexpr NameTable<SelfAttention, 3> kTable{{{SelfAttention::mix, "mix"},
                                                       {SelfAttention::full, "full"},
                                                       {SelfAttention::local, "local"}}};
};

template <>
struct EnumNames<GlobalLayer> {
  static constexpr NameTable<GlobalLayer, 2> kTable{
      {{GlobalLayer::first, "first"}, {GlobalLayer::last, "last"}}};
};

template <>
struct EnumNames<AlwaysGlobal> {
  static constexpr NameTable<AlwaysGlobal, 4> kTable{{{AlwaysGlobal::none, "none"},
                                                      {AlwaysGlobal::first, "first"},
                                                      {AlwaysGlobal::last, "last"},
                                                      {AlwaysGlobal::both, "both"}}};
};

template <>
struct EnumNames<ScaledLayers> {
  static constexpr NameTable<ScaledLayers, 2> kTable{
      {{ScaledLayers::all, "all"}, {ScaledLayers::global, "global"}}};
};

template <>
struct EnumNames<RopeScaling> {
  static constexpr NameTable<RopeScaling, 5> kTable{{{RopeScaling::none, "none"},
                                                     {RopeScaling::linear, "linear"},
                                                     {RopeScaling::dynamic, "dynamic"},
                                                     {RopeScaling::yarn, "yarn"},
                                                     {RopeScaling::llama3, "llama3"}}};
};

template <>
struct EnumNames<NormPlacement> {
  static constexpr NameTable<NormPlacement, 2> kTable{
      {{NormPlacement::pre, "pre"}, {NormPlacement::reordered, "reordered"}}};
};

// These two began as switches, and the run files of then keep their meaning.

template <>
struct EnumNames<QkNorm> {
  static constexpr NameTable<QkNorm, 3> kTable{
      {{QkNorm::none, "false"}, {QkNorm::head, "true"}, {QkNorm::projection, "projection"}}};
};

template <>
struct EnumNames<AttentionSink> {
  static constexpr NameTable<AttentionSink, 3> kTable{{{AttentionSink::none, "false"},
                                                       {AttentionSink::local, "true"},
                                                       {AttentionSink::all, "all"}}};
};

template <>
struct EnumNames<OptimizerType> {
  static constexpr NameTable<OptimizerType, 2> kTable{
      {{OptimizerType::adamw, "adamw"}, {OptimizerType::muon, "muon"}}};
};

// The names that torch.optim.Muon has for them.
template <>
struct EnumNames<MuonScale> {
  static constexpr NameTable<MuonScale, 3> kTable{
      {{MuonScale::original, "original"},
       {MuonScale::match_rms_adamw, "match_rms_adamw"},
       {MuonScale::spectral_unclamped, "spectral_unclamped"}}};
};

template <>
struct EnumNames<ScheduleType> {
  static constexpr NameTable<ScheduleType, 3> kTable{{{ScheduleType::cosine, "cosine"},
                                                      {ScheduleType::wsd, "wsd"},
                                                      {ScheduleType::constant, "constant"}}};
};

template <>
struct EnumNames<Precision> {
  static constexpr NameTable<Precision, 2> kTable{
      {{Precision::fp32, "fp32"}, {Precision::bf16, "bf16"}}};
};

template <>
struct EnumNames<ActivationCheckpointing> {
  static constexpr NameTable<ActivationCheckpointing, 4> kTable{
      {{ActivationCheckpointing::none, "none"},
       {ActivationCheckpointing::full, "full"},
       {ActivationCheckpointing::selective, "selective"},
       {ActivationCheckpointing::every_2, "every_2"}}};
};

template <>
struct EnumNames<Sharding> {
  static constexpr NameTable<Sharding, 4> kTable{{{Sharding::none, "none"},
                                                  {Sharding::optimizer, "optimizer"},
                                                  {Sharding::gradients, "gradients"},
                                                  {Sharding::full, "full"}}};
};

template <>
struct EnumNames<WhenBusy> {
  static constexpr NameTable<WhenBusy, 2> kTable{
      {{WhenBusy::wait, "wait"}, {WhenBusy::skip, "skip"}}};
};

template <>
struct EnumNames<Packing> {
  static constexpr NameTable<Packing, 2> kTable{
      {{Packing::concat, "concat"}, {Packing::whole, "whole"}}};
};

template <>
struct EnumNames<Overflow> {
  static constexpr NameTable<Overflow, 3> kTable{
      {{Overflow::error, "error"}, {Overflow::drop, "drop"}, {Overflow::split, "split"}}};
};

template <>
struct EnumNames<LossWeighting> {
  static constexpr NameTable<LossWeighting, 2> kTable{
      {{LossWeighting::token, "token"}, {LossWeighting::sequence, "sequence"}}};
};

template <>
struct EnumNames<AlertFigure> {
  static constexpr NameTable<AlertFigure, 10> kTable{
      {{AlertFigure::loss, "loss"},
       {AlertFigure::grad_norm, "grad_norm"},
       {AlertFigure::spike_score, "spike_score"},
       {AlertFigure::grad_norm_spike_score, "grad_norm_spike_score"},
       {AlertFigure::layer_grad_norm, "layer_grad_norm"},
       {AlertFigure::update_ratio, "update_ratio"},
       {AlertFigure::activation_rms, "activation_rms"},
       {AlertFigure::attention_logit_lower, "attention_logit_lower"},
       {AlertFigure::attention_logit_upper, "attention_logit_upper"},
       {AlertFigure::log_z_rms, "log_z_rms"}}};
};

template <>
struct EnumNames<AlertAction> {
  static constexpr NameTable<AlertAction, 3> kTable{{{AlertAction::log, "log"},
                                                     {AlertAction::checkpoint, "checkpoint"},
                                                     {AlertAction::stop, "stop"}}};
};

template <class E>
concept NamedEnum = requires {
  EnumNames<E>::kTable;
};

template <NamedEnum E>
std::string name_of(E value) {
  for (const auto& [candidate, name] : EnumNames<E>::kTable) {
    if (candidate == value) return std::string(name);
  }
  return {};
}

template <NamedEnum E>
std::optional<E> value_named(std::string_view text) {
  for (const auto& [value, name] : EnumNames<E>::kTable) {
    if (name == text) return value;
  }
  return std::nullopt;
}

template <NamedEnum E>
std::vector<std::string> names_of() {
  std::vector<std::string> names;
  for (const auto& entry : EnumNames<E>::kTable) names.emplace_back(entry.second);
  return names;
}

template <NamedEnum E>
std::vector<std::string> names_of(const std::vector<E>& values) {
  std::vector<std::string> names;
  for (const E value : values) names.push_back(name_of(value));
  return names;
}

}  // namespace zebra
