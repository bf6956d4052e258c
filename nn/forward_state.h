#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include <tapegrad/graph/storage.h>
#include <tapegrad/nn/module.h>
#include <tapegrad/nn/visited.h>
#include <tapegrad/nn/visitor.h>

/// Not part of the library's interface.
namespace tapegrad::nn {

/// What a forward pass may change in a network, its buffers and generators: where they are, and what they were when
/// this was made.
class ForwardState final : Visitor {
 public:
  template <class T>
  using List = std::vector<std::pair<T*, T>, tapegrad::detail::PoolAllocator<std::pair<T*, T>>>;

  explicit ForwardState(ModuleBase& net) { module({}, net); }

  /// In the order of visiting.
  const List<Buffer>& buffers() const noexcept { return buffers_; }
  const List<Generator>& generators() const noexcept { return generators_; }
  void restore() const {
    restore_buffers();
    restore_generators();
  }
  void restore_buffers() const {
    for (const auto& [buffer, before] : buffers_) *buffer = before;
  }
  void restore_generators() const {
    for (const auto& [generator, before] : generators_) *generator = before;
  }
  /// Generators as this part of a step, a micro-batch or a batch that is evaluated, is to find them, whoever computes
  /// the parts before.
  void start_part(std::int64_t part) const;
  /// Generators as the next step is to find them, whatever the parts of this one have drawn.
  void end_step() const;

 private:
  void buffer(std::string_view, Buffer& b) override { buffers_.emplace_back(&b, b); }
  void generator(std::string_view, Generator& g) override { generators_.emplace_back(&g, g); }
  void module(std::string_view, ModuleBase& m) override {
    if (visited_.enter(m)) m.visit(*this);
  }

  Visited visited_;
  List<Buffer> buffers_;
  List<Generator> generators_;
};

}  // namespace tapegrad::nn
