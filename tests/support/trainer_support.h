#pragma once

#include <cstdint>
#include <vector>

#include <tapegrad/tapegrad.h>

/// A small task for a trainer, and a network for it.
namespace tapegrad::test {

/// Points in the plane and the quarter that they lie in.
inline nn::Dataset quarters(std::int64_t n, std::uint64_t seed = 7) {
  Generator rng(seed);
  const Tensor x = randn({n, 2}, rng);
  std::vector<std::int64_t> t;
  const auto v = x.values<float>();
  for (std::size_t i = 0; i < v.size(); i += 2) t.push_back((v[i] > 0 ? 1 : 0) + (v[i + 1] > 0 ? 2 : 0));
  return {x, Tensor::from(t), 4};
}

inline nn::MultiLayerNet quarter_net(std::uint64_t seed = 1,
                                     nn::MultiLayerOptions options = {.hidden = {8}}) {
  Generator rng(seed);
  return {2, 4, rng, options};
}

inline std::vector<double> values_of(const nn::State& state) {
  std::vector<double> values;
  for (const auto& [name, t] : state)
    for (const double v : cast(t, f64).to_vector<double>()) values.push_back(v);
  return values;
}
inline std::vector<double> values_of(const nn::ModuleBase& net) { return values_of(net.state()); }

}  // namespace tapegrad::test
