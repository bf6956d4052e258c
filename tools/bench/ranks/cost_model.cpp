#include "cost_model.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <utility>

#include <tapegrad/graph/errors.h>

#include "../median.h"

namespace tapegrad::bench {

namespace {

/// y = p[0] x[0] + p[1] x[1]
struct Equation {
  std::array<double, 2> x{};
  double y = 0;
};

/// The least squares of p . x / y - 1, with p not below 0: where the free minimum is outside, it lies on an edge.
std::array<double, 2> fit(const std::vector<Equation>& equations) {
  double aa = 0, ab = 0, bb = 0, a = 0, b = 0;
  for (const Equation& e : equations) {
    const double u = e.x[0] / e.y, v = e.x[1] / e.y;
    aa += u * u;
    ab += u * v;
    bb += v * v;
    a += u;
    b += v;
  }
  constexpr double kSingular = 1e-12;
  const double determinant = aa * bb - ab * ab;
  if (determinant > kSingular * aa * bb) {
    const double p = (a * bb - b * ab) / determinant, q = (b * aa - a * ab) / determinant;
    if (p >= 0 && q >= 0) return {p, q};
  }
  // The squares are less by a^2 / aa on the one edge, by b^2 / bb on the other.
  if (bb == 0 || (aa > 0 && a * a / aa >= b * b / bb)) return {aa > 0 ? a / aa : 0, 0};
  return {0, b / bb};
}

void require(bool holds, const char* what) {
  if (!holds) throw ArgumentError(what);
}

}  // namespace

Traffic traffic_of(CollectiveKind kind, double bytes, int ranks) {
  if (ranks < 2) return {.operations = 0};
  const double others = ranks - 1;
  const double share = others / ranks;
  const double rounds = std::bit_width(static_cast<unsigned>(ranks - 1));
  switch (kind) {
    case CollectiveKind::all_reduce:
      if (bytes <= kLittleBytes) return {rounds, rounds * bytes};
      break;
    case CollectiveKind::ordered_sum:
      return {2 * others, 2 * share * bytes, 2};
    case CollectiveKind::gather:
      return {ranks * bytes <= kLittleBytes ? rounds : others, others * bytes};
    case CollectiveKind::broadcast:
      if (bytes <= kLittleBytes) return {rounds, rounds * bytes};
      return {rounds + others, 2 * share * bytes};
  }
  return {2 * others, 2 * share * bytes};
}

double seconds_of(CollectiveKind kind, double bytes, int ranks, const Link& link) {
  if (ranks < 2) return 0;
  const Traffic sent = traffic_of(kind, bytes, ranks);
  return sent.operations * link.delay + sent.messages * link.latency + sent.bytes * link.seconds_per_byte;
}

Link fit_link(std::span<const CollectiveTime> times) {
  require(times.size() >= 2, "cost model: a link needs at least two times of collectives");
  std::vector<Equation> equations;
  for (const CollectiveTime& t : times) {
    const Traffic sent = traffic_of(t.kind, t.bytes, t.ranks);
    equations.push_back({{sent.messages, sent.bytes}, t.seconds});
  }
  const auto [latency, seconds_per_byte] = fit(equations);
  return {.latency = latency, .seconds_per_byte = seconds_per_byte};
}

double median_error(std::span<const CollectiveTime> times, const Link& link) {
  require(!times.empty(), "cost model: an error needs times of collectives");
  std::vector<double> errors;
  for (const CollectiveTime& t : times)
    errors.push_back(std::abs(seconds_of(t.kind, t.bytes, t.ranks, link) / t.seconds - 1));
  return median_of(std::move(errors));
}

Computation fit_computation(std::span<const ComputationTime> times) {
  require(times.size() >= 2, "cost model: a computation needs at least two times of steps");
  std::vector<Equation> equations;
  for (const ComputationTime& t : times) equations.push_back({{1, t.items}, t.seconds});
  const auto [fixed, per_item] = fit(equations);
  return {fixed, per_item};
}

StepProfile StepProfile::in(double other_seconds) const {
  StepProfile other = *this;
  other.seconds = other_seconds;
  for (Collective& c : other.collectives) c.at *= other_seconds / seconds;
  return other;
}

double step_seconds(const StepProfile& step, int ranks, const Network& network) {
  double waits = 0, end = 0;
  for (const Collective& c : step.collectives) {
    const double ready = c.at + waits;
    end = std::max(end, ready) + seconds_of(c.kind, c.bytes, ranks, network.of(c.kind));
    if (c.blocks) waits += end - ready;
  }
  return std::max(step.seconds + waits, end);
}

}  // namespace tapegrad::bench
