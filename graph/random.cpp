#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/random.h>

#include <fmt/format.h>

namespace tapegrad {

using detail::TensorAccess;

namespace {

__extension__ using Wide = unsigned __int128;

constexpr std::uint32_t low(std::uint64_t x) { return static_cast<std::uint32_t>(x); }
constexpr std::uint32_t high(std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); }
constexpr std::uint64_t join(std::uint32_t lo, std::uint32_t hi) { return std::uint64_t{hi} << 32 | lo; }

using Block = std::array<std::uint32_t, 4>;
using Key = std::array<std::uint32_t, 2>;

constexpr std::size_t kLanes = 64;
constexpr std::size_t kChunk = 4 * kLanes;  // words

/// One round on N counters side by side, so that the compiler can vectorise it.
template <std::size_t N>
void philox_round(std::uint32_t (&c)[4][N], Key key) noexcept {
  for (std::size_t i = 0; i < N; ++i) {
    const std::uint64_t a = std::uint64_t{0xD2511F53} * c[0][i];
    const std::uint64_t b = std::uint64_t{0xCD9E8D57} * c[2][i];
    c[0][i] = high(b) ^ c[1][i] ^ key[0];
    c[1][i] = low(b);
    c[2][i] = high(a) ^ c[3][i] ^ key[1];
    c[3][i] = low(a);
  }
}

template <std::size_t N>
void philox_rounds(std::uint32_t (&c)[4][N], Key key) noexcept {
  for (int round = 0; round < 10; ++round) {
    philox_round(c, key);
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
}

/// kChunk words of the stream from `block` on.
void fill_chunk(const Generator::State& s, std::uint64_t block, std::uint32_t (&words)[kChunk]) noexcept {
  std::uint32_t c[4][kLanes];
  for (std::size_t i = 0; i < kLanes; ++i) {
    c[0][i] = low(block + i);
    c[1][i] = high(block + i);
    c[2][i] = low(s.stream);
    c[3][i] = high(s.stream);
  }
  philox_rounds(c, {low(s.seed), high(s.seed)});
  for (std::size_t i = 0; i < kLanes; ++i)
    for (std::size_t j = 0; j < 4; ++j) words[4 * i + j] = c[j][i];
}

/// Calls f(i, words of draw i) for i in [0, n), each draw being `Words` words, and moves the generator on.
template <std::size_t Words, class F>
void draw(Generator& generator, std::int64_t n, F&& f) {
  Generator::State s = generator.state();
  s.position += s.position % Words;
  std::uint32_t words[kChunk];
  for (std::int64_t i = 0; i < n;) {
    fill_chunk(s, s.position / 4, words);
    const std::size_t skip = s.position % 4;
    const auto m = std::min(static_cast<std::int64_t>((kChunk - skip) / Words), n - i);
    for (std::int64_t k = 0; k < m; ++k) f(i + k, words + skip + static_cast<std::size_t>(k) * Words);
    i += m;
    s.position += static_cast<std::uint64_t>(m) * Words;
  }
  generator = Generator(s);
}

std::uint64_t bits_of(const std::uint32_t* words) { return join(words[0], words[1]); }

double uniform_of(std::uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1p-53; }

template <std::size_t N>
double polynomial(const double (&c)[N], double x) {
  double y = c[N - 1];
  for (std::size_t i = N - 1; i-- > 0;) y = y * x + c[i];
  return y;
}

/// The quantile of the standard normal distribution at q + 1/2, to about 1e-16 relative (AS 241, PPND16).
double normal_quantile(double q) {
  static constexpr double a[] = {3.3871328727963666080e0,  1.3314166789178437745e+2, 1.9715909503065514427e+3,
                                 1.3731693765509461125e+4, 4.5921953931549871457e+4, 6.7265770927008700853e+4,
                                 3.3430575583588128105e+4, 2.5090809287301226727e+3};
  static constexpr double b[] = {1.0,
                                 4.2313330701600911252e+1,
                                 6.8718700749205790830e+2,
                                 5.3941960214247511077e+3,
                                 2.1213794301586595867e+4,
                                 3.9307895800092710610e+4,
                                 2.8729085735721942674e+4,
                                 5.2264952788528545610e+3};
  static constexpr double c[] = {1.42343711074968357734e0,  4.63033784615654529590e0,
                                 5.76949722146069140550e0,  3.64784832476320460504e0,
                                 1.27045825245236838258e0,  2.41780725177450611770e-1,
                                 2.27238449892691845833e-2, 7.74545014278341407640e-4};
  static constexpr double d[] = {1.0,
                                 2.05319162663775882187e0,
                                 1.67638483018380384940e0,
                                 6.89767334985100004550e-1,
                                 1.48103976427480074590e-1,
                                 1.51986665636164571966e-2,
                                 5.47593808499534494600e-4,
                                 1.05075007164441684324e-9};
  static constexpr double e[] = {6.65790464350110377720e0,  5.46378491116411436990e0,
                                 1.78482653991729133580e0,  2.96560571828504891230e-1,
                                 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                 2.71155556874348757815e-5, 2.01033439929228813265e-7};
  static constexpr double f[] = {1.0,
                                 5.99832206555887937690e-1,
                                 1.36929880922735805310e-1,
                                 1.48753612908506148525e-2,
                                 7.86869131145613259100e-4,
                                 1.84631831751005468180e-5,
                                 1.42151175831644588870e-7,
                                 2.04426310338993978564e-15};
  if (std::fabs(q) <= 0.425) {
    const double r = 0.180625 - q * q;
    return q * polynomial(a, r) / polynomial(b, r);
  }
  const double r = std::sqrt(-std::log(0.5 - std::fabs(q)));
  const double x =
      r <= 5 ? polynomial(c, r - 1.6) / polynomial(d, r - 1.6) : polynomial(e, r - 5) / polynomial(f, r - 5);
  return q < 0 ? -x : x;
}

/// Multiply and shift (Lemire: Fast Random Integer Generation in an Interval, 2019). A rejected draw is
/// followed by draws from the same place of a chain of blocks, each the image of the last, not by the next
/// words: these belong to the next element.
std::uint64_t bounded(const Generator::State& s, std::uint64_t word, std::uint64_t bits,
                      std::uint64_t count) {
  Wide product = Wide{bits} * count;
  if (static_cast<std::uint64_t>(product) < count) [[unlikely]] {
    const std::uint64_t rejected_below = (0 - count) % count;
    Block block{low(word / 4), high(word / 4), low(s.stream), high(s.stream)};
    block = philox4x32(block, {low(s.seed), high(s.seed)});
    while (static_cast<std::uint64_t>(product) < rejected_below) {
      block = philox4x32(block, {low(s.seed), high(s.seed)});
      product = Wide{bits_of(block.data() + word % 4)} * count;
    }
  }
  return static_cast<std::uint64_t>(product >> 64);
}

/// A draw of 64 bits with the state and the word it came from, for `bounded`.
template <class F>
void draw_bounded(Generator& generator, std::int64_t n, F&& f) {
  const Generator::State s = generator.state();
  const std::uint64_t first = s.position + s.position % 2;
  draw<2>(generator, n, [&](std::int64_t i, const std::uint32_t* words) {
    const std::uint64_t word = first + 2 * static_cast<std::uint64_t>(i);
    f(i, [&](std::uint64_t count) { return bounded(s, word, bits_of(words), count); });
  });
}

void require_floating(const char* op, Dtype dtype, const char* instead) {
  if (!is_floating(dtype))
    throw DtypeError(
        fmt::format("{}: the values are not integers; ask for f32 or f64, or use {}", op, instead));
}

}  // namespace

/// The middle of one of 2^52 equal intervals of (-1/2, 1/2) goes in: never an end, and symmetric about 0.
double detail::normal_of(std::uint64_t bits) noexcept {
  const auto k = static_cast<std::int64_t>(bits >> 12) - (std::int64_t{1} << 51);
  return normal_quantile((static_cast<double>(k) + 0.5) * 0x1p-52);
}

Block philox4x32(Block counter, Key key) noexcept {
  std::uint32_t c[4][1] = {{counter[0]}, {counter[1]}, {counter[2]}, {counter[3]}};
  philox_rounds(c, key);
  return {c[0][0], c[1][0], c[2][0], c[3][0]};
}

Generator::result_type Generator::operator()() noexcept {
  state_.position += state_.position % 2;
  const std::uint64_t block = state_.position / 4;
  const Block b = philox4x32({low(block), high(block), low(state_.stream), high(state_.stream)},
                             {low(state_.seed), high(state_.seed)});
  const std::uint64_t bits = bits_of(b.data() + state_.position % 4);
  state_.position += 2;
  return bits;
}

double Generator::uniform() noexcept { return uniform_of((*this)()); }

double Generator::normal() noexcept { return detail::normal_of((*this)()); }

std::uint64_t Generator::below(std::uint64_t count) {
  if (count == 0) throw ArgumentError("below: there is no number below 0; the count must be at least 1");
  const std::uint64_t bits = (*this)();
  return bounded(state_, state_.position - 2, bits, count);
}

Tensor randn(const Shape& shape, Generator& generator, Dtype dtype, double mean, double stddev) {
  require_floating("randn", dtype, "integers");
  if (!(std::isfinite(mean) && std::isfinite(stddev) && stddev >= 0))
    throw ArgumentError(
        fmt::format("randn: mean {} and stddev {} given; both must be finite and the stddev "
                    "not negative",
                    mean, stddev));
  Tensor t = TensorAccess::make(shape, dtype, "randn");
  visit_floating(dtype, [&]<class T> {
    T* out = TensorAccess::data_as<T>(t);
    draw<2>(generator, t.size(), [&](std::int64_t i, const std::uint32_t* words) {
      out[i] = static_cast<T>(mean + stddev * detail::normal_of(bits_of(words)));
    });
  });
  return t;
}

Tensor uniform(const Shape& shape, Generator& generator, double lo, double hi, Dtype dtype) {
  require_floating("uniform", dtype, "integers");
  Tensor t = TensorAccess::make(shape, dtype, "uniform");
  visit_floating(dtype, [&]<class T> {
    // The least and the greatest T in [lo, hi): rounding must not lead out of the interval.
    T least = static_cast<T>(lo);
    if (static_cast<double>(least) < lo) least = std::nextafter(least, std::numeric_limits<T>::infinity());
    T greatest = static_cast<T>(hi);
    if (static_cast<double>(greatest) >= hi)
      greatest = std::nextafter(greatest, -std::numeric_limits<T>::infinity());
    if (!std::isfinite(hi - lo) || !std::isfinite(greatest) || !std::isfinite(least) || !(least <= greatest))
      throw ArgumentError(
          fmt::format("uniform: [{}, {}) holds no finite {}, or is too wide; lo must be below hi", lo, hi,
                      name_of(dtype)));
    T* out = TensorAccess::data_as<T>(t);
    draw<2>(generator, t.size(), [&](std::int64_t i, const std::uint32_t* words) {
      out[i] = std::clamp(static_cast<T>(lo + (hi - lo) * uniform_of(bits_of(words))), least, greatest);
    });
  });
  return t;
}

Tensor integers(const Shape& shape, Generator& generator, std::int64_t lo, std::int64_t hi) {
  if (lo >= hi)
    throw ArgumentError(fmt::format("integers: no integer in [{}, {}); lo must be below hi", lo, hi));
  const std::uint64_t count = static_cast<std::uint64_t>(hi) - static_cast<std::uint64_t>(lo);
  Tensor t = TensorAccess::make(shape, i64, "integers");
  auto* out = TensorAccess::data_as<std::int64_t>(t);
  draw_bounded(generator, t.size(), [&](std::int64_t i, auto below) {
    out[i] = static_cast<std::int64_t>(static_cast<std::uint64_t>(lo) + below(count));
  });
  return t;
}

Tensor bernoulli(const Shape& shape, Generator& generator, double p, Dtype dtype) {
  if (!(p >= 0 && p <= 1)) throw ArgumentError(fmt::format("bernoulli: probability {} is outside [0, 1]", p));
  // Thirty bits, so that 1 has its threshold too and the comparison is one of signed 32-bit integers, which
  // vectorises.
  const auto threshold = static_cast<std::int32_t>(std::nearbyint(p * 0x1p30));
  Tensor t = TensorAccess::make(shape, dtype, "bernoulli");
  visit_dtype(dtype, [&]<class T> {
    T* out = TensorAccess::data_as<T>(t);
    draw<1>(generator, t.size(), [&](std::int64_t i, const std::uint32_t* words) {
      out[i] = static_cast<std::int32_t>(words[0] >> 2) < threshold ? T{1} : T{0};
    });
  });
  return t;
}

Tensor permutation(std::int64_t n, Generator& generator) {
  if (n < 0)
    throw ArgumentError(fmt::format("permutation: {} elements asked; the number cannot be negative", n));
  Tensor t = detail::named("permutation", [&] { return Tensor::empty({n}, i64); });
  auto* out = TensorAccess::data_as<std::int64_t>(t);
  for (std::int64_t i = 0; i < n; ++i) out[i] = i;
  draw_bounded(generator, std::max<std::int64_t>(n - 1, 0), [&](std::int64_t i, auto below) {
    const std::int64_t last = n - 1 - i;
    std::swap(out[last], out[below(static_cast<std::uint64_t>(last) + 1)]);
  });
  return t;
}

}  // namespace tapegrad
