#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <tapegrad/graph/values.h>
#include <tapegrad/nn/distributed/agreement.h>
#include <tapegrad/nn/distributed/average.h>
#include <tapegrad/nn/distributed/bucket.h>

namespace tapegrad::nn {

namespace {

constexpr const char* kWhat = "average";

}  // namespace

Gradients average(Communicator& communicator, const optim::ParameterList& parameters,
                  const Gradients& gradients) {
  Facts facts = facts_of(parameters);
  std::vector<Parameter> averaged;
  std::vector<Tensor> own;
  std::size_t i = 0;
  for (const auto& [name, parameter] : parameters) {
    std::string& fact = facts[i++].second;
    if (const Tensor* const gradient = gradients.find(parameter)) {
      averaged.push_back(parameter);
      own.push_back(*gradient);
    } else {
      fact += ", without a gradient";
    }
  }
  require_all_listed(communicator, kWhat, gradients, averaged.size());
  require_same(communicator, kWhat, facts);

  Gradients means = gradients;
  const double share = 1 / static_cast<double>(communicator.size());
  for (const Bucket& bucket : buckets_of(own, std::numeric_limits<std::int64_t>::max(), 1)) {
    Tensor row = bucket.new_row();
    for (const Bucket::Member& m : bucket.members) put(row, m, own[m.tensor], share);
    all_reduce(communicator, row);
    for (const Bucket::Member& m : bucket.members) *means.find(averaged[m.tensor]) = take(row, m);
  }
  return means;
}

void broadcast(Communicator& communicator, const optim::ParameterList& parameters) {
  require_same(communicator, "broadcast", facts_of(parameters));
  for (auto [name, parameter] : parameters) {
    Tensor value = parameter.data();
    visit_floating(value.dtype(), [&]<class T> {
      communicator.broadcast(std::as_writable_bytes(value.mutable_values<T>()));
    });
  }
}

void broadcast(Communicator& communicator, ModuleBase& net) {
  Facts facts;
  State buffers = net.buffers();
  for (const auto& [name, t] : buffers) facts.emplace_back(fmt::format("buffer '{}'", name), describe(t));
  require_same(communicator, "broadcast", facts);
  broadcast(communicator, optim::ParameterList(net));
  for (auto& [name, t] : buffers) {
    t = t.copy();
    if (t.size() > 0) communicator.broadcast(bytes_of(t));
  }
  if (!communicator.is_root()) net.load_state(buffers, {.strict = false});
}

}  // namespace tapegrad::nn
