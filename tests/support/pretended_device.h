#pragma once

#include <ATen/EmptyTensor.h>
#include <ATen/SDPBackend.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/resize_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>
#include <torch/nn/module.h>
#include <torch/types.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

// A device that is not there. LibTorch takes it for an accelerator; its memory is the host's and
// its operations are the CPU's. So every copy between host and device, and every value of the
// device that the host asks for, can be seen without a GPU. To be included by one file of a test
// binary.

namespace zebra::testing::pretended {

inline const torch::Device kDevice(c10::DeviceType::PrivateUse1, 0);

/// What would have made the host wait for a GPU, while an object of this class lives: one at a
/// time.
class HostWaits {
 public:
  HostWaits() {
    const std::lock_guard lock(mutex_);
    found_.clear();
    watching_ = true;
  }
  ~HostWaits() { watching_ = false; }
  HostWaits(const HostWaits&) = delete;
  HostWaits& operator=(const HostWaits&) = delete;

  std::vector<std::string> found() const {
    const std::lock_guard lock(mutex_);
    return found_;
  }

  static void add(const std::string& what) {
    if (!watching_ || inside_operation_) return;
    const std::lock_guard lock(mutex_);
    found_.push_back(what);
  }

  static bool is_inside_operation() { return inside_operation_; }

  /// While one lives the copies of this thread are those by which the CPU plays the device.
  class InsideOperation {
   public:
    InsideOperation() : outer_(inside_operation_) { inside_operation_ = true; }
    ~InsideOperation() { inside_operation_ = outer_; }

   private:
    bool outer_;
  };

 private:
  static inline std::mutex mutex_;
  static inline std::vector<std::string> found_;
  static inline std::atomic<bool> watching_ = false;
  static inline thread_local bool inside_operation_ = false;
};

class HostMemory : public c10::Allocator {
 public:
  explicit HostMemory(c10::Device device) : device_(device) {}

  c10::DataPtr allocate(std::size_t bytes) override {
    void* memory = bytes == 0 ? nullptr : std::malloc(bytes);
    return {memory, memory, &std::free, device_};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &std::free; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    std::memcpy(to, from, bytes);
  }

 private:
  c10::Device device_;
};

inline HostMemory device_memory(kDevice);

/// What counts as page-locked.
class PinnedMemory : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    auto* memory = static_cast<std::byte*>(std::malloc(std::max<std::size_t>(bytes, 1)));
    const std::lock_guard lock(mutex_);
    blocks_[memory] = bytes;
    return {memory, memory, &release, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    std::memcpy(to, from, bytes);
  }

  static bool holds(const void* address) {
    const std::lock_guard lock(mutex_);
    const auto* byte = static_cast<const std::byte*>(address);
    const auto behind = blocks_.upper_bound(byte);
    if (behind == blocks_.begin()) return false;
    const auto& [begin, bytes] = *std::prev(behind);
    return byte < begin + bytes;
  }

 private:
  static void release(void* memory) {
    {
      const std::lock_guard lock(mutex_);
      blocks_.erase(static_cast<const std::byte*>(memory));
    }
    std::free(memory);
  }

  static inline std::mutex mutex_;
  static inline std::map<const std::byte*, std::size_t> blocks_;
};

inline PinnedMemory pinned_memory;

struct Hooks : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  bool isPinnedPtr(const void* data) const override { return PinnedMemory::holds(data); }
  c10::Allocator* getPinnedMemoryAllocator() const override { return &pinned_memory; }
};

/// One stream, on which everything is done at once.
struct Guard : c10::impl::DeviceGuardImplInterface {
  using Device = c10::Device;
  using Stream = c10::Stream;

  c10::DeviceType type() const override { return c10::DeviceType::PrivateUse1; }
  Device exchangeDevice(Device) const override { return kDevice; }
  Device getDevice() const override { return kDevice; }
  void setDevice(Device) const override {}
  void uncheckedSetDevice(Device) const noexcept override {}
  Stream getStream(Device) const override { return Stream(Stream::DEFAULT, kDevice); }
  Stream getDefaultStream(Device) const override { return Stream(Stream::DEFAULT, kDevice); }
  Stream exchangeStream(Stream) const override { return Stream(Stream::DEFAULT, kDevice); }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  void record(void**, const Stream&, const c10::DeviceIndex, const c10::EventFlag) const override {}
  void block(void*, const Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  bool queryStream(const Stream&) const override { return true; }
  void synchronizeStream(const Stream&) const override { HostWaits::add("for a stream"); }
  void synchronizeEvent(void*) const override { HostWaits::add("for an event"); }
  void synchronizeDevice(const c10::DeviceIndex) const override {
    HostWaits::add("for the device");
  }
};

C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard)

/// The device. From the first call on it is the process's accelerator, in place of a GPU that may
/// be there.
inline torch::Device device() {
  static const bool is_registered = [] {
    static Hooks hooks;
    at::RegisterPrivateUse1HooksInterface(&hooks);
    c10::register_privateuse1_backend("pretended");
    c10::SetAllocator(c10::DeviceType::PrivateUse1, &device_memory);
    return true;
  }();
  static_cast<void>(is_registered);
  return kDevice;
}

/// Hears of the work that the device gets, as it comes.
class WorkListener {
 public:
  virtual ~WorkListener() = default;
  virtual void before(const c10::OperatorHandle& operation, const torch::jit::Stack& inputs) = 0;
  virtual void after(const c10::OperatorHandle& operation, const torch::jit::Stack& inputs,
                     const torch::jit::Stack& outputs) = 0;
  /// A copy on the device, not yet done.
  virtual void copy(const torch::Tensor& source, const torch::Tensor& target) = 0;
  /// A copy between host and device, or a value that the host asks for.
  virtual void meets_host() = 0;
};
inline std::atomic<WorkListener*> work_listener = nullptr;  // autograd has threads of its own

// The same memory as a tensor of the CPU.
inline torch::Tensor on_cpu(const torch::Tensor& x) {
  if (x.is_cpu()) return x;
  return at::from_blob(const_cast<void*>(x.const_data_ptr()), x.sizes(), x.strides(),
                       x.options().device(c10::kCPU));
}

inline void note_copy(const torch::Tensor& source, const torch::Tensor& target, bool non_blocking) {
  if (source.device() == target.device()) return;
  const auto& on_host = source.is_cpu() ? source : target;
  if (non_blocking && PinnedMemory::holds(on_host.const_data_ptr())) return;
  std::string what = source.is_cpu() ? "to the device" : "to the host";
  for (const auto size : on_host.sizes()) what += " " + std::to_string(size);
  HostWaits::add("a copy " + what);
}

inline torch::Tensor copy_from(const torch::Tensor& source, const torch::Tensor& target,
                               bool non_blocking) {
  if (target.numel() == 0) return target;
  note_copy(source, target, non_blocking);
  if (auto* listener = work_listener.load(); listener && !HostWaits::is_inside_operation()) {
    if (source.device() == target.device())
      listener->copy(source, target);
    else
      listener->meets_host();
  }
  on_cpu(target).copy_(on_cpu(source));
  return target;
}

inline torch::Tensor copy_from_and_resize(const torch::Tensor& source,
                                          const torch::Tensor& target) {
  if (target.sizes() != source.sizes()) target.resize_(source.sizes());
  return copy_from(source, target, /*non_blocking=*/false);
}

inline at::Scalar read_scalar(const torch::Tensor& x) {
  HostWaits::add("for a scalar");
  if (auto* listener = work_listener.load()) listener->meets_host();
  return on_cpu(x).item();
}

inline torch::Tensor empty(at::IntArrayRef sizes, std::optional<at::ScalarType> type,
                           std::optional<at::Layout>, std::optional<at::Device>,
                           std::optional<bool>, std::optional<at::MemoryFormat> format) {
  return torch::Tensor(at::detail::empty_generic(sizes, &device_memory,
                                                 c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                                 c10::dtype_or_default(type), format));
}

inline torch::Tensor empty_strided(at::IntArrayRef sizes, at::IntArrayRef strides,
                                   std::optional<at::ScalarType> type, std::optional<at::Layout>,
                                   std::optional<at::Device>, std::optional<bool>) {
  return torch::Tensor(at::detail::empty_strided_generic(
      sizes, strides, &device_memory, c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
      c10::dtype_or_default(type)));
}

// It has no fused attention of its own.
inline std::int64_t attention_choice(const torch::Tensor&, const torch::Tensor&,
                                     const torch::Tensor&, const std::optional<torch::Tensor>&,
                                     double, bool, std::optional<double>, bool) {
  return static_cast<std::int64_t>(at::SDPBackend::math);
}

inline void run_on_cpu(const c10::OperatorHandle& operation, torch::jit::Stack* stack) {
  // Their result is the host's, or the host must know how large it is.
  constexpr std::array kAsked = {"aten::equal", "aten::nonzero", "aten::masked_select",
                                 "aten::_unique2"};
  const auto& name = operation.operator_name().name;
  if (std::ranges::find(kAsked, name) != kAsked.end()) HostWaits::add("for " + name);
  const HostWaits::InsideOperation inside;
  auto* listener = work_listener.load();
  if (listener == nullptr) {
    at::native::cpu_fallback(operation, stack);
    return;
  }
  const auto inputs = torch::jit::last(*stack, operation.schema().arguments().size()).vec();
  listener->before(operation, inputs);
  at::native::cpu_fallback(operation, stack);
  listener->after(operation, inputs,
                  torch::jit::last(*stack, operation.schema().returns().size()).vec());
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) {
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&run_on_cpu>());
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", empty);
  m.impl("empty_strided", empty_strided);
  m.impl("as_strided", at::native::as_strided_tensorimpl);
  m.impl("view", at::native::view);
  m.impl("_reshape_alias", at::native::_reshape_alias);
  m.impl("resize_", at::native::resize_);
  m.impl("_copy_from", copy_from);
  m.impl("_copy_from_and_resize", copy_from_and_resize);
  m.impl("_local_scalar_dense", read_scalar);
  m.impl("_fused_sdp_choice", attention_choice);
}

/// Gives the module's parameters memory on the device: Module::to knows the devices of LibTorch
/// alone.
inline void move_to_device(torch::nn::Module& module) {
  for (const auto& parameter : module.parameters()) {
    const auto there = torch::empty(parameter.sizes(), parameter.options().device(device()));
    parameter.unsafeGetTensorImpl()->shallow_copy_from(there.getIntrusivePtr());
  }
}

}  // namespace zebra::testing::pretended
