#include "limit_convolutions.h"

#include <stdexcept>

#ifdef TAPEGRAD_BENCH_ONEDNN

#include <omp.h>

#include <cmath>
#include <cstring>
#include <deque>
#include <dnnl.hpp>
#include <optional>
#include <unordered_map>

#include "limit_kernels.h"

namespace tapegrad::bench {

namespace {

using dnnl::memory;
using Arguments = std::unordered_map<int, memory>;
using Tag = memory::format_tag;

constexpr auto kFloat = memory::data_type::f32;
// Winograd's where it takes that for faster, as we do.
constexpr auto kAlgorithm = dnnl::algorithm::convolution_auto;

float* data(const memory& m) { return static_cast<float*>(m.get_data_handle()); }
std::int64_t size(const memory& m) {
  return static_cast<std::int64_t>(m.get_desc().get_size() / sizeof(float));
}

/// Something that oneDNN does with these memories.
struct Step {
  dnnl::primitive what;
  Arguments with;
};

/// Parameters in whatever order, with their gradient and moments.
struct Trained {
  Trained(const memory::desc& desc, const dnnl::engine& engine)
      : value(desc, engine), gradient(desc, engine), moments(static_cast<std::size_t>(2 * size(value))) {
    std::memset(data(value), 0, desc.get_size());
    std::memset(data(gradient), 0, desc.get_size());
  }
  void update(Rule rule, float rate) {
    const std::int64_t n = size(value);
    if (rule == Rule::adam)
      limit::adam(data(value), data(gradient), moments.data(), moments.data() + n, rate, n);
    else
      limit::sgd(data(value), data(gradient), rate, n);
  }
  memory value, gradient;
  std::vector<float> moments;
};

class OneDnn final : public Convolutions {
 public:
  OneDnn(const NetTask& task, int threads)
      : threads_(threads), rule_(task.rule), engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {
    omp_set_num_threads(threads_);
    const memory::desc images = image_desc(task, 0, task.image.side, Tag::nchw);
    images_ = memory(images, engine_, nullptr);
    memory x = images_;
    memory dx;  // of the images nobody asks for one
    for (std::size_t i = 0; i < task.convolutions.size(); ++i) add(task, i, x, dx);
    const std::size_t last = task.convolutions.size();
    // What these three point to is given with every step.
    rows_ = memory(image_desc(task, last, task.image_at(last).side, Tag::nchw), engine_, nullptr);
    drows_ = memory(rows_.get_desc(), engine_, nullptr);
    forward_.push_back(reorder(x, rows_));
    backward_.push_back(reorder(drows_, dx));
  }

  void forward(const float* images, float* rows) override {
    omp_set_num_threads(threads_);
    images_.set_data_handle(const_cast<float*>(images));
    rows_.set_data_handle(rows);
    run(forward_.begin(), forward_.end());
  }
  void backward(const float* gradient, float rate) override {
    drows_.set_data_handle(const_cast<float*>(gradient));
    run(backward_.rbegin(), backward_.rend());
    for (Trained& t : trained_) t.update(rule_, rate);
  }
  std::vector<float> first_weights() override {
    const memory::desc order(weight_dims_, kFloat, Tag::oihw);
    std::vector<float> all(order.get_size() / sizeof(float));
    memory to(order, engine_, all.data());
    dnnl::reorder(trained_.front().value, to).execute(stream_, trained_.front().value, to);
    stream_.wait();
    return all;
  }

 private:
  static memory::desc image_desc(const NetTask& task, std::size_t at, std::int64_t side, Tag tag) {
    return {{task.batch, task.image_at(at).channels, side, side}, kFloat, tag};
  }

  /// Adds convolution i with its ReLU and its pooling behind x, which becomes their result; dx is where the gradient
  /// of x goes, and becomes that of the result's. What is to run backwards is added in the order of its forward
  /// steps.
  void add(const NetTask& task, std::size_t i, memory& x, memory& dx) {
    const ConvLayer& c = task.convolutions[i];
    const memory::dims strides{1, 1}, padding{c.padding, c.padding};
    const memory::dims weight_dims{c.channels, task.image_at(i).channels, c.kernel, c.kernel};
    if (i == 0) weight_dims_ = weight_dims;
    // Images of few channels are best read as they are given.
    const bool as_given = i == 0 && task.image.channels <= 3;
    const memory::desc any_x = as_given ? x.get_desc() : memory::desc(x.get_desc().dims(), kFloat, Tag::any);
    const memory::desc any_w(weight_dims, kFloat, Tag::any);
    const memory::desc bias({c.channels}, kFloat, Tag::x);
    const memory::desc any_y({task.batch, c.channels, task.side_of(i), task.side_of(i)}, kFloat, Tag::any);

    dnnl::post_ops relu;
    relu.append_eltwise(1, dnnl::algorithm::eltwise_relu, 0, 0);
    dnnl::primitive_attr attributes;
    attributes.set_post_ops(relu);
    const dnnl::convolution_forward::primitive_desc forward(
        {dnnl::prop_kind::forward_training, kAlgorithm, any_x, any_w, bias, any_y, strides, padding, padding},
        attributes, engine_);
    const memory from = in_order(x, forward.src_desc());
    if (from.get_desc() != x.get_desc()) forward_.push_back(reorder(x, from));
    const Trained& w = trained_.emplace_back(forward.weights_desc(), engine_);
    const Trained& b = trained_.emplace_back(bias, engine_);
    read(task.weights[i], weight_dims, w.value);
    memory y(forward.dst_desc(), engine_), dy(forward.dst_desc(), engine_);
    forward_.push_back(
        {dnnl::convolution_forward(forward),
         {{DNNL_ARG_SRC, from}, {DNNL_ARG_WEIGHTS, w.value}, {DNNL_ARG_BIAS, b.value}, {DNNL_ARG_DST, y}}});

    if (dx) {
      const dnnl::convolution_backward_data::primitive_desc back(
          {kAlgorithm, dx.get_desc(), any_w, dy.get_desc(), strides, padding, padding}, engine_, forward);
      const memory turned = in_order(w.value, back.weights_desc());
      backward_.push_back({dnnl::convolution_backward_data(back),
                           {{DNNL_ARG_DIFF_DST, dy}, {DNNL_ARG_WEIGHTS, turned}, {DNNL_ARG_DIFF_SRC, dx}}});
      if (turned.get_desc() != w.value.get_desc()) backward_.push_back(reorder(w.value, turned));
    }
    const dnnl::convolution_backward_weights::primitive_desc back(
        {kAlgorithm, any_x, any_w, bias, any_y, strides, padding, padding}, engine_, forward);
    memory dw = w.gradient;
    if (back.diff_weights_desc() != dw.get_desc()) {
      dw = memory(back.diff_weights_desc(), engine_);
      backward_.push_back(reorder(dw, w.gradient));
    }
    // Run from the end: what is reordered is so before.
    const memory in = in_order(from, back.src_desc()), of = in_order(dy, back.diff_dst_desc());
    backward_.push_back({dnnl::convolution_backward_weights(back),
                         {{DNNL_ARG_SRC, in},
                          {DNNL_ARG_DIFF_DST, of},
                          {DNNL_ARG_DIFF_WEIGHTS, dw},
                          {DNNL_ARG_DIFF_BIAS, b.gradient}}});
    for (const auto& [m, copy] : {std::pair{from, in}, {dy, of}})
      if (m.get_desc() != copy.get_desc()) backward_.push_back(reorder(m, copy));
    x = y, dx = dy;
    if (c.pool) add_pooling(task, i, x, dx);
    // The ReLU's: of what was pooled, the result tells as well where it was cut, and is a quarter as long.
    const dnnl::eltwise_forward::primitive_desc relu_forward(
        {dnnl::prop_kind::forward_training, dnnl::algorithm::eltwise_relu_use_dst_for_bwd, x.get_desc(), 0,
         0},
        engine_);
    const dnnl::eltwise_backward::primitive_desc relu_backward(
        {dnnl::algorithm::eltwise_relu_use_dst_for_bwd, x.get_desc(), x.get_desc(), 0, 0}, engine_,
        relu_forward);
    backward_.push_back({dnnl::eltwise_backward(relu_backward),
                         {{DNNL_ARG_DST, x}, {DNNL_ARG_DIFF_DST, dx}, {DNNL_ARG_DIFF_SRC, dx}}});
  }

  void add_pooling(const NetTask& task, std::size_t i, memory& x, memory& dx) {
    const memory::dims two{2, 2}, none{0, 0};
    const memory::desc any_y = image_desc(task, i + 1, task.image_at(i + 1).side, Tag::any);
    const dnnl::pooling_forward::primitive_desc forward(
        {dnnl::prop_kind::forward_training, dnnl::algorithm::pooling_max, x.get_desc(), any_y, two, two, none,
         none},
        engine_);
    memory y(forward.dst_desc(), engine_), dy(forward.dst_desc(), engine_);
    const memory which(forward.workspace_desc(), engine_);
    forward_.push_back({dnnl::pooling_forward(forward),
                        {{DNNL_ARG_SRC, x}, {DNNL_ARG_DST, y}, {DNNL_ARG_WORKSPACE, which}}});
    const dnnl::pooling_backward::primitive_desc back(
        {dnnl::algorithm::pooling_max, dx.get_desc(), dy.get_desc(), two, two, none, none}, engine_, forward);
    backward_.push_back({dnnl::pooling_backward(back),
                         {{DNNL_ARG_DIFF_DST, dy}, {DNNL_ARG_DIFF_SRC, dx}, {DNNL_ARG_WORKSPACE, which}}});
    x = y, dx = dy;
  }

  static Step reorder(const memory& from, const memory& to) {
    return {dnnl::reorder(from, to), {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}}};
  }
  /// m, or memory of its own where m lies in another order.
  memory in_order(const memory& m, const memory::desc& desc) const {
    return m.get_desc() == desc ? m : memory(desc, engine_);
  }
  void read(const std::vector<float>& weights, const memory::dims& dims, memory to) {
    memory from({dims, kFloat, Tag::oihw}, engine_, const_cast<float*>(weights.data()));
    dnnl::reorder(from, to).execute(stream_, from, to);
    stream_.wait();
  }
  template <class I>
  void run(I from, I to) {
    for (; from != to; ++from) from->what.execute(stream_, from->with);
    stream_.wait();
  }

  int threads_;
  Rule rule_;
  dnnl::engine engine_;
  dnnl::stream stream_;
  memory images_, rows_, drows_;
  memory::dims weight_dims_;
  std::vector<Step> forward_, backward_;  ///< the second to be run from the end
  std::deque<Trained> trained_;
};

/// See make_convolution.
class OneConvolution final : public Program {
 public:
  OneConvolution(const ConvolutionTask& t, int threads)
      : threads_(threads), engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {
    omp_set_num_threads(threads_);
    const memory::dims strides{t.stride, t.stride}, padding{t.padding(), t.padding()};
    const memory::dims x_dims{t.batch, t.in, t.side, t.side};
    const memory::dims y_dims{t.batch, t.out, t.side_of_y(), t.side_of_y()};
    const bool grouped = t.groups > 1;
    const memory::dims w_dims =
        grouped ? memory::dims{t.groups, t.out / t.groups, t.in / t.groups, t.kernel, t.kernel}
                : memory::dims{t.out, t.in, t.kernel, t.kernel};
    // Images of few channels are best read as they are given.
    const memory::desc any_x(x_dims, kFloat, t.in / t.groups <= 3 && !grouped ? Tag::nchw : Tag::any);
    const memory::desc any_w(w_dims, kFloat, Tag::any), any_y(y_dims, kFloat, Tag::any);
    const dnnl::convolution_forward::primitive_desc forward(
        {dnnl::prop_kind::forward_training, kAlgorithm, any_x, any_w, any_y, strides, padding, padding},
        engine_);
    const auto x = [&](const memory::desc& d) { return given(x_dims, Tag::nchw, 1, d); };
    const auto w = [&](const memory::desc& d) {
      return given(w_dims, grouped ? Tag::goihw : Tag::oihw, 2, d);
    };
    const auto y = [&](const memory::desc& d) { return given(y_dims, Tag::nchw, 3, d); };
    if (t.pass == ConvolutionPass::forward) {
      result_ = memory(forward.dst_desc(), engine_);
      step_ = {dnnl::convolution_forward(forward),
               {{DNNL_ARG_SRC, x(forward.src_desc())},
                {DNNL_ARG_WEIGHTS, w(forward.weights_desc())},
                {DNNL_ARG_DST, result_}}};
    } else if (t.pass == ConvolutionPass::input) {
      const dnnl::convolution_backward_data::primitive_desc back(
          {kAlgorithm, any_x, any_w, any_y, strides, padding, padding}, engine_, forward);
      result_ = memory(back.diff_src_desc(), engine_);
      step_ = {dnnl::convolution_backward_data(back),
               {{DNNL_ARG_DIFF_DST, y(back.diff_dst_desc())},
                {DNNL_ARG_WEIGHTS, w(back.weights_desc())},
                {DNNL_ARG_DIFF_SRC, result_}}};
    } else {
      const dnnl::convolution_backward_weights::primitive_desc back(
          {kAlgorithm, any_x, any_w, any_y, strides, padding, padding}, engine_, forward);
      result_ = memory(back.diff_weights_desc(), engine_);
      step_ = {dnnl::convolution_backward_weights(back),
               {{DNNL_ARG_SRC, x(back.src_desc())},
                {DNNL_ARG_DIFF_DST, y(back.diff_dst_desc())},
                {DNNL_ARG_DIFF_WEIGHTS, result_}}};
    }
  }

  Result run(std::int64_t calls) override {
    omp_set_num_threads(threads_);
    for (std::int64_t i = 0; i < calls; ++i) step_.what.execute(stream_, step_.with);
    stream_.wait();
    if (!sum_) {  // once, since that takes as long as some convolutions; what pads the channels is 0
      sum_ = 0;
      for (std::int64_t i = 0; i < size(result_); ++i)
        *sum_ += std::abs(static_cast<double>(data(result_)[i]));
    }
    return {*sum_, 0};
  }

 private:
  memory given(const memory::dims& dims, Tag tag, std::uint64_t seed, const memory::desc& order) {
    const memory::desc plain(dims, kFloat, tag);
    std::vector<float> values =
        convolution_values(static_cast<std::int64_t>(plain.get_size() / sizeof(float)), seed);
    memory from(plain, engine_, values.data());
    memory to(order, engine_);
    dnnl::reorder(from, to).execute(stream_, from, to);
    stream_.wait();
    return to;
  }

  int threads_;
  dnnl::engine engine_;
  dnnl::stream stream_;
  memory result_;
  Step step_;
  std::optional<double> sum_;
};

}  // namespace

std::unique_ptr<Program> make_convolution(const ConvolutionTask& task, int threads) {
  return std::make_unique<OneConvolution>(task, threads);
}
bool has_convolutions() { return true; }
std::unique_ptr<Convolutions> make_convolutions(const NetTask& task, int threads) {
  return std::make_unique<OneDnn>(task, threads);
}

}  // namespace tapegrad::bench

#else

namespace tapegrad::bench {
bool has_convolutions() { return false; }
std::unique_ptr<Program> make_convolution(const ConvolutionTask&, int) { return nullptr; }
std::unique_ptr<Convolutions> make_convolutions(const NetTask&, int) {
  throw std::logic_error("the limit has no convolutions: oneDNN was not found");
}
}  // namespace tapegrad::bench

#endif
