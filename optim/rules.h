#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/graph/export.h>
#include <tapegrad/optim/optimizer.h>

/// The update rules of Saito: "Deep Learning from Scratch", O'Reilly 2016, chapter 6, and those that are
/// common beside them. W is a parameter, g its gradient, with weight_decay * W added unless the decay is
/// decoupled (see Group), lr the learning rate of its group; all of it elementwise, in the dtype of W.
namespace tapegrad::optim {

/// W -= lr g.
class TAPEGRAD_API SGD : public Optimizer {
 public:
  explicit SGD(const ParameterGroups& parameters, double lr = 0.01);

 private:
  void update(Parameter& w, const Tensor& g, std::span<Tensor> moments, const Rates& rates) override;
};

/// v = momentum v - lr g;  W += v.  Polyak: Some methods of speeding up the convergence of iteration methods,
/// 1964.
class TAPEGRAD_API Momentum : public Optimizer {
 public:
  /// Throws ArgumentError for a momentum outside [0, 1).
  explicit Momentum(const ParameterGroups& parameters, double lr = 0.01, double momentum = 0.9);

 private:
  void update(Parameter& w, const Tensor& g, std::span<Tensor> moments, const Rates& rates) override;
  double momentum_;
};

/// v = momentum v - lr g;  W += momentum v - lr g.  Nesterov's method, as in Sutskever et al.: On the
/// importance of initialization and momentum in deep learning, ICML 2013, whose gradient is taken at W +
/// momentum v: here, as in Bengio, Boulanger-Lewandowski, Pascanu: Advances in Optimizing Recurrent Networks,
/// ICASSP 2013, W is that point itself. While lr stays, the two are the same.
class TAPEGRAD_API Nesterov : public Optimizer {
 public:
  /// Throws ArgumentError for a momentum outside [0, 1).
  explicit Nesterov(const ParameterGroups& parameters, double lr = 0.01, double momentum = 0.9);

 private:
  void update(Parameter& w, const Tensor& g, std::span<Tensor> moments, const Rates& rates) override;
  double momentum_;
};

/// h += g g;  W -= lr g / (sqrt(h) + 1e-7).  Duchi, Hazan, Singer: Adaptive Subgradient Methods for Online
/// Learning and Stochastic Optimization, JMLR 12, 2011.
class TAPEGRAD_API AdaGrad : public Optimizer {
 public:
  explicit AdaGrad(const ParameterGroups& parameters, double lr = 0.01);

 private:
  void update(Parameter& w, const Tensor& g, std::span<Tensor> moments, const Rates& rates) override;
};

/// h = decay h + (1 - decay) g g;  W -= lr g / (sqrt(h) + 1e-7).  Tieleman, Hinton: Lecture 6.5, COURSERA:
/// Neural Networks for Machine Learning, 2012.
class TAPEGRAD_API RMSProp : public Optimizer {
 public:
  /// Throws ArgumentError for a decay outside [0, 1).
  explicit RMSProp(const ParameterGroups& parameters, double lr = 0.01, double decay = 0.99);

 private:
  void update(Parameter& w, const Tensor& g, std::span<Tensor> moments, const Rates& rates) override;
  double decay_;
};

/// m += (1 - beta1) (g - m);  v += (1 - beta2) (g g - v);  W -= lr_t m / (sqrt(v) + 1e-7)
/// with lr_t = lr sqrt(1 - beta2^t) / (1 - beta1^t) in update t = 1, 2, ...  Kingma, Ba: Adam, ICLR 2015, in
/// the form of the end of its section 2, which adds the small number to sqrt(v) before the bias is corrected.
class TAPEGRAD_API Adam : public Optimizer {
 public:
  /// Throws ArgumentError for a beta outside [0, 1).
  explicit Adam(const ParameterGroups& parameters, double lr = 0.001, double beta1 = 0.9,
                double beta2 = 0.999);

 protected:
  Adam(std::string_view name, const ParameterGroups& parameters, double lr, double beta1, double beta2);

 private:
  void begin_step(std::int64_t step) override;
  void update(Parameter& w, const Tensor& g, std::span<Tensor> moments, const Rates& rates) override;
  double beta1_;
  double beta2_;
  double correction_ = 1;  ///< lr_t / lr
};

/// Adam with decay that is decoupled: W -= lr weight_decay W before each update of Adam's. Loshchilov,
/// Hutter: Decoupled Weight Decay Regularization, ICLR 2019.
class TAPEGRAD_API AdamW : public Adam {
 public:
  /// The decay is that of the groups that give none. Throws ArgumentError as Adam does, and for a decay that
  /// is negative or not finite.
  explicit AdamW(const ParameterGroups& parameters, double lr = 0.001, double weight_decay = 0.01,
                 double beta1 = 0.9, double beta2 = 0.999);
};

/// The names that make_optimizer knows: "sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw".
TAPEGRAD_API std::vector<std::string> optimizer_names();

/// The optimizer of this name, its other settings as by default. Throws ArgumentError for another name,
/// listing those there are.
TAPEGRAD_API std::unique_ptr<Optimizer> make_optimizer(std::string_view name,
                                                       const ParameterGroups& parameters, double lr);

}  // namespace tapegrad::optim
