#include "ops/cuda_library.h"

#include <dlfcn.h>

#include "base/build_info.h"
#include "base/error.h"

namespace zebra {
namespace {

constexpr auto kLibrary = "libzebra_cuda.so", kDriver = "libcuda.so.1";

struct LoadedCudaLibrary {
  const CudaLibrary* library = nullptr;
  std::string fault;
};

LoadedCudaLibrary load_cuda_library() {
  if (!kCudaEnabled) return {.library = nullptr, .fault = "this is a build without CUDA"};
  if (dlopen(kDriver, RTLD_LAZY) == nullptr) {
    return {.library = nullptr, .fault = "there is no driver (" + std::string(dlerror()) + ")"};
  }
  // Never unloaded: what LibTorch's library registers stays registered.
  void* const handle = dlopen(kLibrary, RTLD_NOW | RTLD_GLOBAL);
  void* const library = handle == nullptr ? nullptr : dlsym(handle, "zebra_cuda_library");
  if (library == nullptr) return {.library = nullptr, .fault = dlerror()};
  return {.library = reinterpret_cast<const CudaLibrary* (*)()>(library)(), .fault = {}};
}

const LoadedCudaLibrary& loaded_cuda_library() {
  static const LoadedCudaLibrary loaded = load_cuda_library();
  return loaded;
}

// Before main().
[[maybe_unused]] const auto& loaded_first = loaded_cuda_library();

}  // namespace

const CudaLibrary& cuda_library() {
  const auto& [library, fault] = loaded_cuda_library();
  if (library == nullptr) throw RunError("no CUDA: " + fault);
  return *library;
}

const std::string& cuda_library_fault() { return loaded_cuda_library().fault; }

}  // namespace zebra
