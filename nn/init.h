#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/random.h>
#include <tapegrad/graph/tensor.h>

namespace tapegrad::nn {

/// How many inputs a result sums up, and how many results an input goes into.
struct Fans {
  double in;   ///< inputs that a result sums up
  double out;  ///< results that an input goes into
};

/// How the values of a new weight are drawn: a small value that a layer takes, and draws from a generator.
/// The same generator state gives the same weight.
///
/// fan_in and fan_out are how many inputs a result sums up, and how many results an input goes into: the sizes of a
/// weight [in, out]; of kernels [out, in, ...] both channels, times the elements of a kernel. Xavier keeps the
/// variance of what passes a linear layer forward and backward about constant; its gain makes up for what the
/// activation behind it takes away: 1 for sigmoid and none, 5/3 for tanh, sqrt(2) for relu. He is the same for
/// rectifiers, looking at the forward pass alone.
class TAPEGRAD_API Init {
 public:
  /// Every element is this value.
  static Init constant(double value);
  /// Normal with mean 0 and this standard deviation.
  static Init normal(double stddev);
  /// Uniform in [-bound, bound).
  static Init uniform(double bound);
  /// Glorot, Bengio: Understanding the difficulty of training deep feedforward neural networks, AISTATS 2010.
  /// Normal with the standard deviation gain * sqrt(2 / (fan_in + fan_out)), or uniform with the bound
  /// gain * sqrt(6 / (fan_in + fan_out)), which has the same standard deviation. For a square weight the former
  /// is the 1 / sqrt(fan_in) that "Deep Learning from Scratch" gives.
  static Init xavier(double gain = 1);
  static Init xavier_uniform(double gain = 1);
  /// He, Zhang, Ren, Sun: Delving Deep into Rectifiers, ICCV 2015. Normal with the standard deviation
  /// gain / sqrt(fan_in), or uniform with the bound gain * sqrt(3 / fan_in), where gain = sqrt(2 / (1 +
  /// slope^2)); slope is that of leaky_relu for negative x, 0 for relu.
  static Init he(double slope = 0);
  static Init he_uniform(double slope = 0);

  /// From text: "std:0.01", "uniform:0.1", "constant:0", "xavier", "xavier-uniform", "he", "he-uniform"; the
  /// last four also with gain or slope, as in "xavier:1.6667". Throws ArgumentError naming what there is.
  static Init parse(std::string_view text);
  /// All that parse takes, for messages: "std:stddev, ..., xavier[:gain], ...".
  static std::string forms();
  /// The text that parse takes for this.
  std::string text() const;

  /// A new tensor. Throws ShapeError where fan_in is asked of a shape of fewer than two axes, and ArgumentError
  /// for a negative or non-finite standard deviation, bound or gain, as all functions above do.
  Tensor operator()(const Shape& shape, Generator& generator, Dtype dtype = f32) const;
  /// The same for a weight whose shape does not tell its fans.
  Tensor operator()(const Shape& shape, const Fans& fans, Generator& generator, Dtype dtype = f32) const;

  friend bool operator==(const Init&, const Init&) = default;

 private:
  enum class Kind : std::uint8_t { normal, uniform, constant, xavier, xavier_uniform, he, he_uniform };
  struct Form;
  static const Form kForms[];
  Init(Kind kind, double number);

  Kind kind_;
  double number_;
};

}  // namespace tapegrad::nn
