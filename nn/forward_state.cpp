#include <cstdint>

#include <tapegrad/graph/random.h>
#include <tapegrad/nn/forward_state.h>

namespace tapegrad::nn {

namespace {

/// What a part of a step draws from: as independent of the others as of the generator that it is made from.
Generator generator_of_part(const Generator::State& at, std::int64_t part) {
  const auto low = [](std::uint64_t n) { return static_cast<std::uint32_t>(n); };
  const auto high = [](std::uint64_t n) { return static_cast<std::uint32_t>(n >> 32); };
  constexpr std::uint32_t kOfPieces = 0x70696563U;
  const auto words = philox4x32({low(at.position), high(at.position), low(at.stream), high(at.stream)},
                                {low(at.seed), high(at.seed)});
  const auto r = philox4x32(words, {low(static_cast<std::uint64_t>(part)), kOfPieces});
  return Generator(std::uint64_t{r[1]} << 32 | r[0], std::uint64_t{r[3]} << 32 | r[2]);
}

/// How many words of a generator stand for a step, of which its parts' are made.
constexpr std::uint64_t kWordsOfStep = 4;

}  // namespace

void ForwardState::start_part(std::int64_t part) const {
  for (const auto& [generator, before] : generators_) *generator = generator_of_part(before.state(), part);
}

void ForwardState::end_step() const {
  for (const auto& [generator, before] : generators_) {
    Generator::State state = before.state();
    state.position += kWordsOfStep;
    *generator = Generator(state);
  }
}

}  // namespace tapegrad::nn
