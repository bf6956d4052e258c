#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <tapegrad/graph/dtype.h>

/// What the contenders have to compute, in terms of the standard library alone: numbers, no tensors.
namespace tapegrad::bench {

/// Items to learn from: either bytes with class labels, which stand for bytes / 255, or floats.
struct Items {
  std::int64_t count = 0;
  std::int64_t width = 0;
  std::int64_t target_width = 0;  ///< of float targets
  std::vector<std::uint8_t> pixels;
  std::vector<std::uint8_t> labels;
  std::vector<float> inputs;
  std::vector<float> targets;
  bool bytes() const { return !pixels.empty(); }
};

enum class Loss : std::uint8_t { softmax, squared_error };
enum class Rule : std::uint8_t { sgd, adam };

/// A convolution of kernel x kernel and its ReLU.
struct ConvLayer {
  std::int64_t channels = 0;  ///< of the result
  std::int64_t kernel = 0;
  std::int64_t padding = 0;
  bool pool = false;  ///< the largest of each 2 x 2 behind it
};
/// What a layer of convolutions is given.
struct ImageSize {
  std::int64_t channels = 0;
  std::int64_t side = 0;  ///< rows, and columns
  std::int64_t elements() const { return channels * side * side; }
};

/// Training of affine layers with ReLU between them, and perhaps convolutions before them: from the same weights, on
/// the same batches.
struct NetTask {
  ImageSize image;                      ///< where there are convolutions
  std::vector<ConvLayer> convolutions;  ///< those of the last images are an affine layer's input
  std::vector<std::int64_t> widths;     ///< of the input, the hidden layers and the output
  bool batch_norm = false;              ///< behind each hidden layer, before its ReLU
  Loss loss = Loss::softmax;
  Rule rule = Rule::sgd;
  double lr = 0.1;
  std::int64_t batch = 100;
  std::shared_ptr<const Items> train;
  std::shared_ptr<const Items> test;
  /// Of each convolution, [out, in, kernel, kernel], and each affine layer, [in, out]; biases start at 0.
  std::vector<std::vector<float>> weights;
  std::vector<std::int64_t> order;  ///< items of one batch after the other, a whole number of batches
  bool tune = true;                 ///< a contender may take its time to find its fastest way

  std::size_t layers() const { return widths.size() - 1; }  ///< affine ones
  const std::vector<float>& affine_weights(std::size_t i) const { return weights[convolutions.size() + i]; }
  /// What convolution i is given; behind the last one, what the affine layers are.
  ImageSize image_at(std::size_t i) const;
  /// The side of the result of convolution i, before pooling.
  std::int64_t side_of(std::size_t i) const;
  std::size_t batches() const { return order.size() / static_cast<std::size_t>(batch); }
  /// Indices of the items of a step; after the last batch the first one follows.
  std::span<const std::int64_t> batch_items(std::int64_t step) const {
    const std::size_t at = static_cast<std::size_t>(step) % batches() * static_cast<std::size_t>(batch);
    return std::span(order).subspan(at, static_cast<std::size_t>(batch));
  }
  /// Bytes that a step cannot do without: parameters, their gradients and moments, the batch, and what
  /// backward reads of each layer.
  std::int64_t needed_bytes() const;
};

/// x = x a + b, again and again, of single numbers; all three are asked for their gradients. With these
/// values every result is exact, in whatever precision, and nothing under- or overflows however long the
/// chain is.
struct ChainTask {
  std::int64_t nodes = 0;  ///< even: half of them products, half sums
  float x = 0.5F;
  float a = -1;
  float b = 0.25F;
};

/// The sum of sigmoid(a x + b) tanh(x) + relu(x) over x, and its gradient with respect to x.
struct FormulaTask {
  std::vector<float> x;
  float a = 1.5F;
  float b = -0.25F;
};

/// Code of scalars with its gradient, in double; scalar_codes.h has the functions.
enum class ScalarCode : std::uint8_t { rosenbrock, ode, mixture, cameras };
inline constexpr std::size_t kCameras = 10;
inline constexpr std::size_t kOfCamera = 9;  ///< rotation, translation, focal length, distortion
struct ScalarCodeTask {
  ScalarCode code = ScalarCode::rosenbrock;
  std::vector<double> at;    ///< where the gradient is asked for
  std::vector<double> data;  ///< what the function is given beside
};

/// c [m, n] = op(a) op(b) of random matrices, where op(a) is a, or the transpose of an a stored [k, m].
struct ProductTask {
  std::int64_t m = 0;
  std::int64_t n = 0;
  std::int64_t k = 0;
  bool transpose_a = false;
  bool transpose_b = false;
  Dtype dtype = Dtype::f32;
};

/// One of the three tensors of a convolution of square images, from both others: y [n, out, side', side'] of
/// x [n, in, side, side] and w [out, in / groups, kernel, kernel], or the gradient of x or w.
enum class ConvolutionPass : std::uint8_t { forward, input, weight };
struct ConvolutionTask {
  ConvolutionPass pass = ConvolutionPass::forward;
  std::int64_t batch = 1;
  std::int64_t in = 1;
  std::int64_t out = 1;
  std::int64_t side = 1;
  std::int64_t kernel = 3;
  std::int64_t stride = 1;
  std::int64_t groups = 1;

  /// Zeros on each side, half the kernel.
  std::int64_t padding() const { return kernel / 2; }
  std::int64_t side_of_y() const { return (side + 2 * padding() - kernel) / stride + 1; }
  std::int64_t x_size() const { return batch * in * side * side; }
  std::int64_t w_size() const { return out * (in / groups) * kernel * kernel; }
  std::int64_t y_size() const { return batch * out * side_of_y() * side_of_y(); }
};
/// Numbers in [-0.5, 0.5) for the operands, which differ from seed to seed.
std::vector<float> convolution_values(std::int64_t count, std::uint64_t seed);

/// The mean of a loss over predictions and targets, and its gradient with respect to the predictions.
enum class PointLoss : std::uint8_t { mse, huber, bce };
struct LossTask {
  PointLoss loss = PointLoss::mse;
  std::int64_t count = 0;
};

/// A function of each of 4096 numbers, by the position of its row in functions.cpp.
struct FunctionTask {
  std::size_t row = 0;
  Dtype dtype = Dtype::f32;
};

/// What an operation costs beside its arithmetic: a call is a chain of kOverheadOps recorded operations on
/// tiny tensors, or (gradient) recorded sum(relu(x + b)) of four numbers and its gradient.
enum class Overhead : std::uint8_t { add, relu, affine, gradient };
inline constexpr std::int64_t kOverheadOps = 1000;
inline constexpr float kTinyX[4] = {0.5F, -1.0F, 2.0F, 0.25F};
inline constexpr float kTinyB[4] = {0.1F, 0.2F, -0.3F, 0.4F};
inline constexpr float kTinyW[16] = {0.4F, -0.1F, 0.2F, 0.1F,  0.1F, 0.3F, 0.1F,  -0.2F,
                                     0.2F, 0.1F,  0.4F, -0.1F, 0.1F, 0.2F, -0.1F, 0.3F};

/// Images of 28 x 28 bytes in ten classes, four fifths of the bytes zero; every fifth label is wrong, so that
/// there is always something left to learn. The same seed draws the same images.
std::shared_ptr<const Items> make_images(std::int64_t count, std::uint64_t seed);
/// Uniform inputs and targets in [-1, 1).
std::shared_ptr<const Items> make_vectors(std::int64_t count, std::int64_t width, std::int64_t target_width);
/// Draws the weights (uniform, of He's deviation) and the order of the items, in place of what was there.
void draw(NetTask& task, std::int64_t batches);

/// The training tasks by name: W1, W2, W3, W4, W4b; "startup", W1 on 100 images; "batch:N", 784-100-10 with batches of
/// N; "width:N", 784-N-10; "depth:N", N hidden layers of width 256; "conv-side:N", "conv-channels:N" and
/// "conv-batch:N", two convolutions of 3 x 3 of 32 channels on 8 images of 32 x 32 but for what is named. Throws
/// std::invalid_argument for any other name.
std::shared_ptr<const NetTask> make_net_task(const std::string& name);
std::shared_ptr<const FormulaTask> make_formula_task(std::int64_t count);
/// Rosenbrock's function of 10,000 numbers; 40 counts of hares and lynxes; 10,000 observations; 200 points
/// seen by 10 cameras.
std::shared_ptr<const ScalarCodeTask> make_scalar_code_task(ScalarCode code);

}  // namespace tapegrad::bench
