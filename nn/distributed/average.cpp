#include <utility>
#include <vector>

#include <tapegrad/graph/values.h>
#include <tapegrad/nn/distributed/agreement.h>
#include <tapegrad/nn/distributed/average.h>
#include <tapegrad/nn/distributed/number_rows.h>

namespace tapegrad::nn {

namespace {

constexpr const char* kWhat = "average";

}  // namespace

Gradients average(Communicator& communicator, const optim::ParameterList& parameters,
                  const Gradients& gradients) {
  Facts facts = facts_of(parameters);
  RowLayout layout;
  std::vector<std::pair<Parameter, RowPlace>> places;
  std::size_t i = 0;
  for (const auto& [name, parameter] : parameters) {
    std::string& fact = facts[i++].second;
    if (gradients.find(parameter))
      places.emplace_back(parameter, layout.add(parameter.shape(), parameter.dtype()));
    else
      fact += ", without a gradient";
  }
  require_all_listed(communicator, kWhat, gradients, places.size());
  require_same(communicator, kWhat, facts);

  NumberRows rows = layout.new_rows();
  const double share = 1 / static_cast<double>(communicator.size());
  for (const auto& [parameter, place] : places) put(rows, place, *gradients.find(parameter), share);
  all_reduce(communicator, rows);

  Gradients means = gradients;
  for (const auto& [parameter, place] : places) *means.find(parameter) = take(rows, place);
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

}  // namespace tapegrad::nn
