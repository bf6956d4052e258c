#pragma once

#include <memory>
#include <string_view>

#include <tapegrad/graph/export.h>
#include <tapegrad/optim/optimizer.h>

/// The update rules of Saito: "Deep Learning from Scratch", O'Reilly 2016, chapter 6. W is a parameter, g its
/// gradient with weight_decay * W added, lr the learning rate of its group; all of it elementwise, in the
/// dtype of W.
namespace tapegrad::optim {

/// W -= lr g.
class TAPEGRAD_API SGD : public Optimizer {
 public:
  explicit SGD(const ParameterGroups& parameters, double lr = 0.01);

 private:
  void update(Parameter& w, const Tensor& g, std::span<Tensor> moments, double lr,
              double weight_decay) override;
};

/// v = momentum v - lr g;  W += v.  Polyak: Some methods of speeding up the convergence of iteration methods,
/// 1964.
class TAPEGRAD_API Momentum : public Optimizer {
 public:
  /// Throws ArgumentError for a momentum outside [0, 1).
  explicit Momentum(const ParameterGroups& parameters, double lr = 0.01, double momentum = 0.9);

 private:
  void update(Parameter& w, const Tensor& g, std::span<Tensor> moments, double lr,
              double weight_decay) override;
  double momentum_;
};

/// h += g g;  W -= lr g / (sqrt(h) + 1e-7).  Duchi, Hazan, Singer: Adaptive Subgradient Methods for Online
/// Learning and Stochastic Optimization, JMLR 12, 2011.
class TAPEGRAD_API AdaGrad : public Optimizer {
 public:
  explicit AdaGrad(const ParameterGroups& parameters, double lr = 0.01);

 private:
  void update(Parameter& w, const Tensor& g, std::span<Tensor> moments, double lr,
              double weight_decay) override;
};

/// m += (1 - beta1) (g - m);  v += (1 - beta2) (g g - v);  W -= lr_t m / (sqrt(v) + 1e-7)
/// with lr_t = lr sqrt(1 - beta2^t) / (1 - beta1^t) in update t = 1, 2, ...  Kingma, Ba: Adam, ICLR 2015, in
/// the form of the end of its section 2, which adds the small number to sqrt(v) before the bias is corrected.
class TAPEGRAD_API Adam : public Optimizer {
 public:
  /// Throws ArgumentError for a beta outside [0, 1).
  explicit Adam(const ParameterGroups& parameters, double lr = 0.001, double beta1 = 0.9,
                double beta2 = 0.999);

 private:
  void begin_step(std::int64_t step) override;
  void update(Parameter& w, const Tensor& g, std::span<Tensor> moments, double lr,
              double weight_decay) override;
  double beta1_;
  double beta2_;
  double correction_ = 1;  ///< lr_t / lr
};

/// The optimizer called "sgd", "momentum", "adagrad" or "adam", its other settings as by default. Throws
/// ArgumentError for another name, listing these.
TAPEGRAD_API std::unique_ptr<Optimizer> make_optimizer(std::string_view name,
                                                       const ParameterGroups& parameters, double lr);

}  // namespace tapegrad::optim
