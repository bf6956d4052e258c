#pragma once

#include <cstddef>
#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/gradients.h>
#include <tapegrad/nn/data/dataset.h>
#include <tapegrad/nn/distributed/communicator.h>
#include <tapegrad/nn/distributed/fingerprint.h>
#include <tapegrad/optim/parameters.h>

/// What ranks have to agree on before they exchange numbers.
namespace tapegrad::nn {

/// Names, and what is known of each, as {"parameter 'fc1.weight'", "f32 [784, 20]"}.
using Facts = std::vector<std::pair<std::string, std::string>>;

/// Throws ArgumentError on all ranks where their facts are not the same: the message starts with `what` and names the
/// first that differs, and what it is on which ranks. Costs eight bytes a rank where they are the same.
TAPEGRAD_API void require_same(Communicator& communicator, std::string_view what, const Facts& facts);

/// A tensor's dtype and shape, as in "f32 [4, 3]".
TAPEGRAD_API std::string describe(const Tensor& tensor);
/// What is too long to be a fact itself.
Facts::value_type fact_of(std::string name, const Fingerprint& print);
/// A fact for each parameter: its dtype and shape, and whether it is frozen.
TAPEGRAD_API Facts facts_of(const optim::ParameterList& parameters);

/// A fact for the number of items, and for up to 16 of them from the first to the last, of `name`, as in "the training
/// data". All items would be read once more, and they may be files.
TAPEGRAD_API Facts facts_of(const Dataset& data, std::string_view name);

/// Throws ArgumentError where there are gradients of other parameters than the `listed` ones, so many of which have
/// one.
void require_all_listed(const Communicator& communicator, std::string_view what, const Gradients& gradients,
                        std::size_t listed);

/// The texts of all ranks, in their order.
TAPEGRAD_API std::vector<std::string> all_gather(Communicator& communicator, const std::string& text);
/// The text of rank 0.
TAPEGRAD_API std::string broadcast(Communicator& communicator, std::string text);

namespace agreement {
/// Throws on all ranks but 0 where `error`, of rank 0, is set; there the caller throws it.
TAPEGRAD_API void tell_of_root(Communicator& communicator, std::exception_ptr error);
}  // namespace agreement

/// Calls work() on rank 0 alone, as to write a file, and returns when it is done. What it throws is thrown there, and
/// RankFailed with its message on the others: no rank goes on without it.
template <class Work>
void at_root(Communicator& communicator, const Work& work) {
  std::exception_ptr error;
  if (communicator.is_root()) {
    try {
      work();
    } catch (...) {
      error = std::current_exception();
    }
  }
  agreement::tell_of_root(communicator, error);
  if (error) std::rethrow_exception(error);
}

}  // namespace tapegrad::nn
