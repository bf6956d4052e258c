#include <utility>
#include <vector>

#include <tapegrad/graph/values.h>
#include <tapegrad/nn/distributed/agreement.h>
#include <tapegrad/nn/distributed/average.h>
#include <tapegrad/nn/distributed/number_rows.h>

#include <fmt/format.h>

namespace tapegrad::nn {

namespace {

constexpr const char* kWhat = "average";

std::int64_t count_of_parameters(const Gradients& gradients) {
  std::int64_t count = 0;
  for (const Gradients::Entry& e : gradients) count += e.key.parameter != 0;
  return count;
}

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
      fact += " without a gradient";
  }
  if (static_cast<std::int64_t>(places.size()) != count_of_parameters(gradients))
    throw ArgumentError(fmt::format(
        "{}: rank {} has gradients of {} parameters, of which {} are listed; ranks match them by the names that "
        "the module's visit gives, so all must be listed",
        kWhat, communicator.rank(), count_of_parameters(gradients), places.size()));
  require_same(communicator, kWhat, facts);

  NumberRows rows = layout.new_rows();
  const double share = 1 / static_cast<double>(communicator.size());
  for (const auto& [parameter, place] : places) put(rows, place, *gradients.find(parameter), share);
  for (Tensor& row : rows.of)
    if (row.defined())
      visit_floating(row.dtype(), [&]<class T> { communicator.all_reduce(row.mutable_values<T>()); });

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
