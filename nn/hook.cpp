#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/hook.h>

#include <fmt/format.h>

namespace tapegrad::nn {

namespace {
thread_local Hook* innermost = nullptr;
}

Hook::Hook(Callback<void(std::string_view, const Module&, const Tensor&)> f)
    : f_(std::move(f)), outer_(innermost) {
  innermost = this;
}

Hook::~Hook() {
  Hook** place = &innermost;
  while (*place && *place != this) place = &(*place)->outer_;
  if (*place) *place = outer_;
}

void Hook::report(const Module& module, const Tensor& output) {
  if (!innermost) return;
  const std::string path = NameScope::path();
  for (const Hook* h = innermost; h; h = h->outer_) h->f_(path, module, output);
}

LayerOutputs::LayerOutputs()
    : hook_([this](std::string_view path, const Module&, const Tensor& output) {
        layers_.push_back({std::string(path), output});
      }) {}

const LayerOutputs::Layer& LayerOutputs::operator[](std::size_t index) const {
  if (index >= layers_.size())
    throw ArgumentError(
        fmt::format("layer outputs: there is no output {}; there are {}", index, layers_.size()));
  return layers_[index];
}

const Tensor& LayerOutputs::operator[](std::string_view path) const {
  for (std::size_t i = layers_.size(); i-- > 0;)
    if (layers_[i].path == path) return layers_[i].output;
  std::string paths;
  for (const Layer& l : layers_) paths += fmt::format("{}'{}'", paths.empty() ? "" : ", ", l.path);
  throw ArgumentError(fmt::format("layer outputs: no module '{}' was called; there are {}", path,
                                  paths.empty() ? "none" : paths));
}

std::vector<Tensor> LayerOutputs::gradients(Tape& tape, const Tensor& y) const {
  std::vector<Tensor> tracked;
  for (const Layer& l : layers_)
    if (l.output.tracked()) tracked.push_back(l.output);
  std::vector<Tensor> found = tape.grad(y, tracked);
  std::vector<Tensor> gradients;
  auto next = found.begin();
  for (const Layer& l : layers_) gradients.push_back(l.output.tracked() ? std::move(*next++) : Tensor());
  return gradients;
}

}  // namespace tapegrad::nn
