#pragma once

#include <ATen/core/LegacyTypeDispatch.h>

#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "ops/device_graph.h"
#include "support/pretended_device.h"

// A graph of the pretended device, as strict as one of CUDA: a replay does the recorded operations
// again, on the same memory, without the code that queued them.

namespace zebra::testing::pretended {

class Graph : public DeviceGraph {
 public:
  void record(const std::function<void()>& work) override {
    Recorder recorder(operations_);
    work_listener = &recorder;
    try {
      work();
    } catch (...) {
      work_listener = nullptr;
      throw;
    }
    work_listener = nullptr;
    recorder.undo();
  }

  void replay() override {
    const at::AutoDispatchBelowAutograd without_gradients;  // as they were when they were recorded
    const HostWaits::InsideOperation inside;
    for (const auto& operation : operations_) operation();
  }

 private:
  using Stack = torch::jit::Stack;

  /// Shapes of what follows are known only when an operation is done, so it is; what it changes is
  /// put back in the end.
  class Recorder : public WorkListener {
   public:
    explicit Recorder(std::vector<std::function<void()>>& operations) : operations_(operations) {}

    void before(const c10::OperatorHandle& operation, const Stack& inputs) override {
      const auto& arguments = operation.schema().arguments();
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        const auto* alias = arguments[i].alias_info();
        if (alias && alias->isWrite() && inputs[i].isTensor()) keep(inputs[i].toTensor());
      }
    }

    void after(const c10::OperatorHandle& operation, const Stack& inputs,
               const Stack& outputs) override {
      operations_.emplace_back([operation, inputs, outputs] {
        Stack stack = inputs;
        at::native::cpu_fallback(operation, &stack);
        for (std::size_t i = 0; i < outputs.size(); ++i) write(stack[i], outputs[i]);
      });
    }

    void copy(const torch::Tensor& source, const torch::Tensor& target) override {
      keep(target);
      operations_.emplace_back([source, target] { on_cpu(target).copy_(on_cpu(source)); });
    }

    void meets_host() override { TORCH_CHECK(false, "the host is met while work is recorded"); }

    void undo() {
      for (auto& [storage, bytes] : before_)
        std::memcpy(storage->mutable_data(), bytes.data(), bytes.size());
    }

   private:
    void keep(const torch::Tensor& x) {
      if (!x.defined()) return;
      auto* storage = x.storage().unsafeGetStorageImpl();
      if (before_.contains(storage)) return;
      alive_.push_back(x.storage());
      const auto* bytes = static_cast<const char*>(storage->data());
      before_.emplace(storage, std::string(bytes, storage->nbytes()));
    }

    // Where the recorded operation made a tensor, this one's values belong.
    static void write(const c10::IValue& value, const c10::IValue& recorded) {
      if (!recorded.isTensor() || !recorded.toTensor().defined()) return;
      const auto from = value.toTensor(), to = recorded.toTensor();
      if (from.const_data_ptr() != to.const_data_ptr()) on_cpu(to).copy_(on_cpu(from));
    }

    std::vector<std::function<void()>>& operations_;
    std::vector<c10::Storage> alive_;
    std::map<c10::StorageImpl*, std::string> before_;
  };

  std::vector<std::function<void()>> operations_;
};

}  // namespace zebra::testing::pretended
