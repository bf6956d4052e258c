#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/distributed/synchronised.h>

#include <fmt/format.h>

namespace tapegrad::nn {

namespace {

std::string label_of(const std::string& path) {
  return path.empty() ? "the network is a synchronised layer"
                      : fmt::format("'{}' is a synchronised layer", path);
}

thread_local const Communicator* refused = nullptr;

}  // namespace

NoExchange::NoExchange(const Communicator* communicator) noexcept
    : before_(std::exchange(refused, communicator)) {}
NoExchange::~NoExchange() { refused = before_; }

void require_may_exchange(const Communicator& communicator) {
  if (refused == &communicator)
    throw ArgumentError(
        "all_reduce: in a training on ranks, and no layer says that it exchanges: ranks have several micro-batches, and "
        "gradients are exchanged at the same time; call it in forward of a module that overrides communicator()");
}

std::vector<std::pair<std::string, const Communicator*>> synchronised_layers(ModuleBase& net) {
  std::vector<std::pair<std::string, const Communicator*>> found;
  for (const auto& [path, module] : net.modules())
    if (const Communicator* const communicator = module->communicator())
      found.emplace_back(path, communicator);
  return found;
}

std::string describe_synchronised_layers(ModuleBase& net) {
  std::string all;
  for (const auto& [path, communicator] : synchronised_layers(net))
    all += fmt::format("{}'{}'", all.empty() ? "" : ", ", path);
  return all.empty() ? "none" : all;
}

DataParallel with_synchronised_layers(const DataParallel& options, ModuleBase& net) {
  const auto layers = synchronised_layers(net);
  if (layers.empty()) return options;
  for (const auto& [path, communicator] : layers)
    if (communicator != options.communicator)
      throw ArgumentError(fmt::format(
          "trainer: {}, and its communicator is not that of data_parallel; give both the same one",
          label_of(path)));
  const int ranks = options.communicator->size();
  if (options.pieces() != ranks)
    throw ArgumentError(fmt::format(
        "trainer: {}, which needs one micro-batch for each rank, and there are {} micro-batches for {} rank{}; "
        "set data_parallel.micro_batches to the number of ranks, or data_parallel.strict to false",
        label_of(layers[0].first), options.pieces(), ranks, ranks == 1 ? "" : "s"));
  DataParallel result = options;
  result.overlap = false;
  return result;
}

void require_items_for_all(const DataParallel& options, ModuleBase& net, std::int64_t items, bool is_rest) {
  const auto layers = synchronised_layers(net);
  if (layers.empty() || items >= options.pieces()) return;
  throw ArgumentError(fmt::format(
      "trainer: {}, which needs items on each of {} ranks, and {} batch has {}; {}",
      label_of(layers[0].first), options.pieces(), is_rest ? "the last" : "a", items,
      is_rest ? "choose another batch size, or set drop_last" : "take larger batches, or fewer ranks"));
}

}  // namespace tapegrad::nn
