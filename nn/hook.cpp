#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/hook.h>

#include <fmt/format.h>

namespace tapegrad::nn {

namespace {
thread_local Hook* innermost = nullptr;
}

Hook::Hook(Function f) : f_(std::move(f)), outer_(innermost) { innermost = this; }

Hook::~Hook() {
  Hook** place = &innermost;
  while (*place && *place != this) place = &(*place)->outer_;
  if (*place) *place = outer_;
}

bool Hook::any() noexcept { return innermost != nullptr; }

void Hook::report(const ModuleBase& module, std::string_view name, const Tensor& output) {
  if (!output.defined()) return;  // what is optional and was not computed
  std::string path = NameScope::path();
  if (!path.empty() && !name.empty()) path += '.';
  path += name;
  for (const Hook* h = innermost; h; h = h->outer_) h->f_(path, module, output);
}

LayerOutputs::LayerOutputs()
    : hook_([this](std::string_view path, const ModuleBase&, const Tensor& output) {
        outputs_.push_back({std::string(path), output});
      }) {}

const LayerOutputs::Output& LayerOutputs::operator[](std::size_t index) const {
  if (index >= outputs_.size())
    throw ArgumentError(
        fmt::format("layer outputs: there is no output {}; there are {}", index, outputs_.size()));
  return outputs_[index];
}

const Tensor& LayerOutputs::operator[](std::string_view path) const {
  for (std::size_t i = outputs_.size(); i-- > 0;)
    if (outputs_[i].path == path) return outputs_[i].output;
  std::string paths;
  for (const Output& l : outputs_) paths += fmt::format("{}'{}'", paths.empty() ? "" : ", ", l.path);
  throw ArgumentError(fmt::format("layer outputs: no module '{}' was called; there are {}", path,
                                  paths.empty() ? "none" : paths));
}

std::vector<Tensor> LayerOutputs::gradients(Tape& tape, const Tensor& y) const {
  std::vector<Tensor> tracked;
  for (const Output& l : outputs_)
    if (l.output.tracked()) tracked.push_back(l.output);
  std::vector<Tensor> found = tape.grad(y, tracked);
  std::vector<Tensor> gradients;
  auto next = found.begin();
  for (const Output& l : outputs_) gradients.push_back(l.output.tracked() ? std::move(*next++) : Tensor());
  return gradients;
}

}  // namespace tapegrad::nn

bool tapegrad::detail::hooked() noexcept { return nn::Hook::any(); }

void tapegrad::detail::report_output(const nn::ModuleBase& module, std::string_view name,
                                     const Tensor& output) {
  nn::Hook::report(module, name, output);
}
