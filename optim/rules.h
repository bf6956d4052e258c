#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <tapegrad/graph/export.h>
#include <tapegrad/optim/optimizer.h>

/// The update rules of Saito: "Deep Learning from Scratch", O'Reilly 2016, chapter 6, and those that are
/// common beside them. W is a parameter, g its gradient, with weight_decay * W added unless the decay is
/// decoupled (see Group), lr the learning rate of its group; all of it elementwise, in the dtype of W.
///
/// Each rule takes its settings as a struct, `Adam(net, 0.001, {.betas = {0.9, 0.99}, .eps = 1e-8})`, and the
/// usual ones also as numbers. All throw ArgumentError for an eps that is not positive and finite, and for a
/// momentum, decay or beta outside [0, 1), or a rate or decay beyond 4e31 (f32) or 4e292 (f64).
///
/// AdaGrad, RMSProp and Adam square gradients: one beyond 2^56 in f32 (7e16) or 2^504 in f64 counts as that much, so
/// that no sum of squares becomes infinite. Their step is the same for a gradient and a multiple of it. The square of a
/// gradient below 1e-19 in f32 or 1e-154 in f64 underflows, and so an eps must be at least 8 times as much.
namespace tapegrad::optim {

/// A setting that is given as a number.
template <class T>
concept Number = std::is_arithmetic_v<T>;

/// Settings of SGD.
struct SGDOptions {
  double momentum = 0;    ///< share of the velocity that stays
  double dampening = 0;   ///< what the velocity does not take of a gradient, but for the first; in [0, 1]
  bool nesterov = false;  ///< needs a momentum, and no dampening
};

/// W -= lr g. With a momentum, as torch.optim.SGD: v = momentum v + (1 - dampening) g, in the first update
/// of a parameter v = g; then W -= lr v, or with nesterov W -= lr (g + momentum v). The rate is outside the velocity
/// here, and inside it in Momentum and Nesterov: as long as it does not change, the two are the same without dampening.
class TAPEGRAD_API SGD : public Optimizer {
 public:
  static constexpr std::string_view kName = "sgd";  ///< as make_optimizer knows it
  /// Of these parameters. Throws as said at the head of this file.
  explicit SGD(const ParameterGroups& parameters, double lr = 0.01, const SGDOptions& options = {});

 private:
  void update(Parameter& w, const Tensor& g, std::span<Tensor> moments, const Rates& rates) override;
  std::vector<std::pair<std::string_view, double>> rule_settings() const override;
  SGDOptions options_;
};

/// Settings of Momentum.
struct MomentumOptions {
  double momentum = 0.9;  ///< share of the velocity that stays
  double dampening = 0;   ///< what the velocity does not take of a gradient; in [0, 1]
};

/// v = momentum v - (1 - dampening) lr g;  W += v.  Polyak: Some methods of speeding up the convergence of
/// iteration methods, 1964. (PyTorch's form is that of SGD.)
class TAPEGRAD_API Momentum : public Optimizer {
 public:
  static constexpr std::string_view kName = "momentum";  ///< as make_optimizer knows it
  /// Of these parameters. Throws as said at the head of this file.
  explicit Momentum(const ParameterGroups& parameters, double lr = 0.01, const MomentumOptions& options = {});
  template <Number M>
  Momentum(const ParameterGroups& parameters, double lr, M momentum)
      : Momentum(parameters, lr, MomentumOptions{.momentum = static_cast<double>(momentum)}) {}

 private:
  void update(Parameter& w, const Tensor& g, std::span<Tensor> moments, const Rates& rates) override;
  std::vector<std::pair<std::string_view, double>> rule_settings() const override;
  MomentumOptions options_;
};

/// Settings of Nesterov.
struct NesterovOptions {
  double momentum = 0.9;  ///< share of the velocity that stays
};

/// v = momentum v - lr g;  W += momentum v - lr g.  Nesterov's method, as in Sutskever et al.: On the
/// importance of initialization and momentum in deep learning, ICML 2013, whose gradient is taken at W +
/// momentum v: here, as in Bengio, Boulanger-Lewandowski, Pascanu: Advances in Optimizing Recurrent Networks,
/// ICASSP 2013, W is that point itself. While lr stays, the two are the same.
class TAPEGRAD_API Nesterov : public Optimizer {
 public:
  static constexpr std::string_view kName = "nesterov";  ///< as make_optimizer knows it
  /// Of these parameters. Throws as said at the head of this file.
  explicit Nesterov(const ParameterGroups& parameters, double lr = 0.01, const NesterovOptions& options = {});
  template <Number M>
  Nesterov(const ParameterGroups& parameters, double lr, M momentum)
      : Nesterov(parameters, lr, NesterovOptions{.momentum = static_cast<double>(momentum)}) {}

 private:
  void update(Parameter& w, const Tensor& g, std::span<Tensor> moments, const Rates& rates) override;
  std::vector<std::pair<std::string_view, double>> rule_settings() const override;
  double momentum_;
};

/// Settings of AdaGrad.
struct AdaGradOptions {
  double eps = 1e-7;  ///< PyTorch: 1e-10
};

/// h += g g;  W -= lr g / (sqrt(h) + eps).  Duchi, Hazan, Singer: Adaptive Subgradient Methods for Online
/// Learning and Stochastic Optimization, JMLR 12, 2011. The form is that of torch.optim.Adagrad without its
/// lr_decay and initial_accumulator_value.
class TAPEGRAD_API AdaGrad : public Optimizer {
 public:
  static constexpr std::string_view kName = "adagrad";  ///< as make_optimizer knows it
  /// Of these parameters. Throws as said at the head of this file.
  explicit AdaGrad(const ParameterGroups& parameters, double lr = 0.01, const AdaGradOptions& options = {});

 private:
  void update(Parameter& w, const Tensor& g, std::span<Tensor> moments, const Rates& rates) override;
  std::vector<std::pair<std::string_view, double>> rule_settings() const override;
  double eps_;
};

/// Settings of RMSProp.
struct RMSPropOptions {
  double decay = 0.99;    ///< PyTorch: alpha
  double eps = 1e-7;      ///< PyTorch: 1e-8
  double momentum = 0;    ///< of the steps
  bool centered = false;  ///< divides by the gradient's standard deviation instead of its root mean square
};

/// h = decay h + (1 - decay) g g;  W -= lr g / (sqrt(h) + eps).  Tieleman, Hinton: Lecture 6.5, COURSERA:
/// Neural Networks for Machine Learning, 2012. The form is that of torch.optim.RMSprop, also with its further
/// settings: centered, mean = decay mean + (1 - decay) g and sqrt(h - mean^2) stands for sqrt(h); with a
/// momentum, v = momentum v + g / (sqrt(h) + eps) and W -= lr v.
class TAPEGRAD_API RMSProp : public Optimizer {
 public:
  static constexpr std::string_view kName = "rmsprop";  ///< as make_optimizer knows it
  /// Of these parameters. Throws as said at the head of this file.
  explicit RMSProp(const ParameterGroups& parameters, double lr = 0.01, const RMSPropOptions& options = {});
  template <Number D>
  RMSProp(const ParameterGroups& parameters, double lr, D decay)
      : RMSProp(parameters, lr, RMSPropOptions{.decay = static_cast<double>(decay)}) {}

 private:
  void update(Parameter& w, const Tensor& g, std::span<Tensor> moments, const Rates& rates) override;
  std::vector<std::pair<std::string_view, double>> rule_settings() const override;
  RMSPropOptions options_;
};

/// Where Adam adds eps.
enum class AdamForm : std::uint8_t {
  /// To sqrt(v), before the bias is corrected: the form at the end of the paper's section 2, which calls this
  /// number epsilon hat, and that of the book.
  epsilon_hat,
  /// To sqrt(v / (1 - beta2^t)), after the bias is corrected: the paper's algorithm 1, torch.optim.Adam.
  epsilon,
};

/// Settings of Adam.
struct AdamOptions {
  std::array<double, 2> betas = {0.9, 0.999};  ///< of the means of gradients and of their squares
  double eps = 1e-7;                           ///< is added to the root, where form says
  AdamForm form = AdamForm::epsilon_hat;       ///< where eps is added

  /// What torch.optim.Adam does by default.
  static constexpr AdamOptions pytorch() {
    return {.betas = {0.9, 0.999}, .eps = 1e-8, .form = AdamForm::epsilon};
  }
};

/// m += (1 - beta1) (g - m);  v += (1 - beta2) (g g - v);  in update t = 1, 2, ... of a
/// parameter, as in PyTorch: one whose first gradient comes late starts at 1 then.
///
///     AdamForm::epsilon_hat: W -= lr_t m / (sqrt(v) + eps)  with lr_t = lr sqrt(1 - beta2^t) / (1 - beta1^t)
///     AdamForm::epsilon:     W -= lr m' / (sqrt(v') + eps)  with m' = m / (1 - beta1^t), v' = v / (1 - beta2^t)
///
/// The second is the first with the number eps sqrt(1 - beta2^t): in the first updates it is smaller by up to
/// sqrt(1 - beta2), which matters where gradients are as small as eps. Kingma, Ba: Adam, ICLR 2015.
class TAPEGRAD_API Adam : public Optimizer {
 public:
  static constexpr std::string_view kName = "adam";  ///< as make_optimizer knows it
  /// Of these parameters. Throws as said at the head of this file.
  explicit Adam(const ParameterGroups& parameters, double lr = 0.001, const AdamOptions& options = {});
  template <Number B>
  Adam(const ParameterGroups& parameters, double lr, B beta1, double beta2 = 0.999)
      : Adam(parameters, lr, AdamOptions{.betas = {static_cast<double>(beta1), beta2}}) {}

 protected:
  /// For rules that derive from it, under a name of their own.
  Adam(std::string_view name, const ParameterGroups& parameters, double lr, const AdamOptions& options);

 private:
  void update(Parameter& w, const Tensor& g, std::span<Tensor> moments, const Rates& rates) override;
  std::vector<std::pair<std::string_view, double>> rule_settings() const override;
  AdamOptions options_;
};

/// Settings of AdamW.
struct AdamWOptions {
  double weight_decay = 0.01;                  ///< of the groups that give none
  std::array<double, 2> betas = {0.9, 0.999};  ///< as in AdamOptions
  double eps = 1e-7;                           ///< as in AdamOptions
  AdamForm form = AdamForm::epsilon_hat;       ///< as in AdamOptions

  /// What torch.optim.AdamW does by default.
  static constexpr AdamWOptions pytorch() {
    return {.weight_decay = 0.01, .betas = {0.9, 0.999}, .eps = 1e-8, .form = AdamForm::epsilon};
  }
};

/// Adam with decay that is decoupled: W -= lr weight_decay W before each update of Adam's. Loshchilov,
/// Hutter: Decoupled Weight Decay Regularization, ICLR 2019.
class TAPEGRAD_API AdamW : public Adam {
 public:
  static constexpr std::string_view kName = "adamw";  ///< as make_optimizer knows it
  /// Throws ArgumentError also for a decay that is negative or not finite.
  explicit AdamW(const ParameterGroups& parameters, double lr = 0.001, const AdamWOptions& options = {});
  template <Number D>
  AdamW(const ParameterGroups& parameters, double lr, D weight_decay, double beta1 = 0.9,
        double beta2 = 0.999)
      : AdamW(parameters, lr,
              AdamWOptions{.weight_decay = static_cast<double>(weight_decay), .betas = {beta1, beta2}}) {}
};

/// The names that make_optimizer knows: "sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw".
TAPEGRAD_API std::vector<std::string> optimizer_names();

/// The optimizer of this name, its other settings as by default. Throws ArgumentError for another name,
/// listing those there are.
TAPEGRAD_API std::unique_ptr<Optimizer> make_optimizer(std::string_view name,
                                                       const ParameterGroups& parameters, double lr);

}  // namespace tapegrad::optim
