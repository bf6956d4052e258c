#include <algorithm>
#include <cstdint>
#include <utility>

#include <tapegrad/graph/shape.h>
#include <tapegrad/nn/distributed/agreement.h>
#include <tapegrad/nn/distributed/bucket.h>
#include <tapegrad/nn/distributed/wire.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace tapegrad::nn {

namespace {

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }
std::span<std::byte> bytes_of(std::string& text) { return std::as_writable_bytes(std::span(text)); }

std::uint64_t fingerprint(const Facts& facts) {
  Fingerprint print;
  for (const auto& [name, value] : facts) {
    print.add(name);
    print.add(value);
  }
  return print.value();
}

template <class T>
std::vector<T> gather_numbers(Communicator& communicator, T own) {
  std::vector<T> all(static_cast<std::size_t>(communicator.size()));
  communicator.all_gather(std::as_bytes(std::span(&own, 1)), std::as_writable_bytes(std::span(all)));
  return all;
}

/// "rank 1", "ranks 1, 2, 3"
std::string ranks_text(const std::vector<std::size_t>& ranks) {
  return fmt::format("rank{} {}", ranks.size() == 1 ? "" : "s", fmt::join(ranks, ", "));
}

/// "f32 [4, 3] on rank 0, f32 [5, 3] on ranks 1, 2"
std::string values_on_ranks(const std::vector<Facts>& all, const std::string& name) {
  std::vector<std::pair<std::string, std::vector<std::size_t>>> values;
  for (std::size_t r = 0; r < all.size(); ++r) {
    const auto found = std::ranges::find(all[r], name, &Facts::value_type::first);
    const std::string value = found == all[r].end() ? "missing" : found->second;
    const auto same = std::ranges::find(values, value, &decltype(values)::value_type::first);
    if (same == values.end())
      values.push_back({value, {r}});
    else
      same->second.push_back(r);
  }
  std::vector<std::string> texts;
  for (const auto& [value, ranks] : values)
    texts.push_back(fmt::format("{} on {}", value, ranks_text(ranks)));
  return fmt::format("{}", fmt::join(texts, ", "));
}

[[noreturn]] void throw_difference(std::string_view what, const std::vector<Facts>& all) {
  for (const Facts& facts : all)
    for (const auto& [name, value] : facts)
      for (const Facts& other : all) {
        const auto found = std::ranges::find(other, name, &Facts::value_type::first);
        if (found == other.end() || found->second != value)
          throw ArgumentError(fmt::format("{}: the ranks differ: {} is {}; give all ranks the same", what,
                                          name, values_on_ranks(all, name)));
      }
  // All have the same, so the order is not.
  for (std::size_t r = 1; r < all.size(); ++r)
    for (std::size_t i = 0; i < std::min(all[0].size(), all[r].size()); ++i)
      if (all[0][i] != all[r][i])
        throw ArgumentError(
            fmt::format("{}: the ranks differ: number {} is {} on rank 0, {} on rank {}; give "
                        "all ranks the same order",
                        what, i, all[0][i].first, all[r][i].first, r));
  throw ArgumentError(fmt::format("{}: the ranks differ in how often names are given", what));
}

}  // namespace

void require_same(Communicator& communicator, std::string_view what, const Facts& facts) {
  if (communicator.size() == 1) return;
  const std::vector<std::uint64_t> prints = gather_numbers(communicator, fingerprint(facts));
  if (std::ranges::count(prints, prints[0]) == communicator.size()) return;
  WireWriter own;
  own.pairs(facts);
  std::vector<Facts> all;
  for (const std::string& text : all_gather(communicator, own.take()))
    all.push_back(WireReader(text).pairs<Facts>());
  throw_difference(what, all);
}

std::string describe(const Tensor& tensor) {
  return fmt::format("{} {}", name_of(tensor.dtype()), to_string(tensor.shape()));
}

Facts::value_type fact_of(std::string name, const Fingerprint& print) {
  return {std::move(name), fmt::format("one of the fingerprint {:016x}", print.value())};
}

Facts facts_of(const optim::ParameterList& parameters) {
  Facts facts;
  for (const auto& [name, parameter] : parameters)
    facts.emplace_back(fmt::format("parameter '{}'", name),
                       describe(parameter.data()) + (parameter.frozen() ? ", frozen" : ""));
  return facts;
}

Facts facts_of(const Dataset& data, std::string_view name) {
  constexpr std::int64_t kMostItems = 16;
  Facts facts{{fmt::format("the number of items of {}", name), fmt::format("{}", data.size())}};
  const std::int64_t count = std::min(kMostItems, data.size());
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t index = i * (data.size() - 1) / std::max<std::int64_t>(count - 1, 1);
    Fingerprint print;
    batching::for_each(data.gather({&index, 1}), [&](std::string_view of, Tensor& tensor) {
      print.add(of);
      print.add(describe(tensor));
      print.add(bytes_of(tensor));
    });
    facts.push_back(fact_of(fmt::format("item {} of {}", index, name), print));
  }
  return facts;
}

void require_all_listed(const Communicator& communicator, std::string_view what, const Gradients& gradients,
                        std::size_t listed) {
  std::size_t count = 0;
  for (const Gradients::Entry& e : gradients) count += e.key.parameter != 0;
  if (count != listed)
    throw ArgumentError(fmt::format(
        "{}: rank {} has gradients of {} parameters, of which {} are listed; ranks match them by the names that "
        "the module's visit gives, so all must be listed",
        what, communicator.rank(), count, listed));
}

std::vector<std::string> all_gather(Communicator& communicator, const std::string& text) {
  const std::vector<std::uint64_t> sizes = gather_numbers<std::uint64_t>(communicator, text.size());
  const std::size_t longest = std::ranges::max(sizes);
  std::string own = text;
  own.resize(longest);
  std::string all(longest * sizes.size(), '\0');
  communicator.all_gather(bytes_of(std::as_const(own)), bytes_of(all));
  std::vector<std::string> texts;
  for (std::size_t r = 0; r < sizes.size(); ++r) texts.push_back(all.substr(r * longest, sizes[r]));
  return texts;
}

std::string broadcast(Communicator& communicator, std::string text) {
  std::uint64_t size = text.size();
  communicator.broadcast(std::as_writable_bytes(std::span(&size, 1)));
  text.resize(size);
  if (size > 0) communicator.broadcast(bytes_of(text));
  return text;
}

void agreement::tell_of_root(Communicator& communicator, std::exception_ptr error) {
  std::string text;
  if (error) {
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& e) {
      text = fmt::format("rank 0 has failed: {}", e.what());
    } catch (...) {
      text = "rank 0 has failed";
    }
  }
  text = broadcast(communicator, text);
  if (!text.empty() && !communicator.is_root()) throw RankFailed(text);
}

}  // namespace tapegrad::nn
