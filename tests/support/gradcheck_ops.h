#pragma once

#include <memory>
#include <span>
#include <vector>

#include <tapegrad/gradcheck/catalog.h>
#include <tapegrad/gradcheck/module.h>
#include <tapegrad/nn/layers/layers.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/math.h>

/// Ops and modules for the checker and its command: right ones, wrong ones, and some that prove nothing.
namespace test_gradcheck {

using namespace tapegrad;
using gradcheck::Catalog;

/// Of the shapes that elementwise ops are checked at, those that are quick to check: what the command does with samples
/// does not depend on their size.
template <class Op>
void small_samples(Samples& s) {
  for (const Shape& shape : {Shape{}, Shape{1}, Shape{7}, Shape{2, 3}, Shape{1031}, Shape{0}, Shape{0, 3}})
    s.add(Op{}, {SampleInput(shape, {-1, 1})});
}

struct Twice {
  static constexpr auto name = "twice";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kNone);
  auto f(auto x) const { return 2 * x; }
  auto vjp(auto g, auto, auto) const { return 2 * g; }
  static void samples(Samples& s) { small_samples<Twice>(s); }
};
struct Cube {
  static constexpr auto name = "cube";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return x * x * x; }
  auto vjp(auto g, auto x, auto) const { return 3 * g * x * x; }
  static void samples(Samples& s) { s.unary(Cube{}, {-2, 2}); }
};
struct WrongTwice : Twice {
  static constexpr auto name = "wrong_twice";
  auto vjp(auto g, auto, auto) const { return 3 * g; }
  static void samples(Samples& s) { small_samples<WrongTwice>(s); }
};
struct Small : Twice {  // too little for two threads
  static constexpr auto name = "small";
  static void samples(Samples& s) { s.add(Small{}, {Shape{3}}); }
};
struct Once : Twice {  // differentiable once
  static constexpr auto name = "once";
  static constexpr std::uint8_t max_order = 1;
  static void samples(Samples& s) { small_samples<Once>(s); }
};
struct Detached {
  static constexpr auto name = "detached";
  static constexpr auto saves = saves_for(kNone);
  static constexpr std::uint8_t max_order = 0;
  static Tensor forward(const Tensor& x) { return x.detach(); }
  static void samples(Samples&) {}
};
struct OnlyAtZero : Twice {  // its samples prove nothing
  static constexpr auto name = "only_at_zero";
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return x * x; }
  auto vjp(auto g, auto x, auto) const { return 2 * g * x; }
  static void samples(Samples& s) { s.add(OnlyAtZero{}, {SampleInput::of(Tensor::from({0, 0}, f64))}); }
};
struct FarSine : Twice {  // no difference of doubles tells its derivative
  static constexpr auto name = "far_sine";
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return sin(x); }
  auto vjp(auto g, auto x, auto) const { return g * cos(x); }
  static void samples(Samples& s) {
    s.add(FarSine{}, {Shape{3}});
    s.add(FarSine{}, {SampleInput::of(Tensor::from({1e15}, f64))}, "far out");
  }
};
struct MarkedFarSine : FarSine {
  static constexpr auto name = "marked_far_sine";
  static void samples(Samples& s) {
    FarSine::samples(s);
    s.uncertain_from(1);
  }
};
struct Throwing : Twice {
  static constexpr auto name = "throwing";
  static void samples(Samples&) { throw ArgumentError("there are none"); }
};
struct Hostile : WrongTwice {  // what it says needs escaping
  static constexpr auto name = "hostile";
  static constexpr std::uint8_t max_order = 1;
  static void samples(Samples& s) { s.add(Hostile{}, {Shape{2}}, "<&\"'>]]>\x01\xff\xc3\xa9\n"); }
};

inline std::vector<gradcheck::ModuleSample> affine(Generator& g) {
  std::vector<gradcheck::ModuleSample> all;
  for (const char* label : {"first", "second"})
    all.push_back({label, std::make_unique<nn::Affine>(3, 2, g), {Shape{4, 3}}});
  return all;
}
inline std::vector<gradcheck::ModuleSample> forgetful(Generator& g) {
  std::vector<gradcheck::ModuleSample> all = affine(g);
  for (auto& sample : all)
    sample.function = [](nn::ModuleBase& m, std::span<const Tensor> in) {
      auto& layer = dynamic_cast<nn::Module&>(m);
      return std::vector{layer(in[0]) + layer(in[0].detach())};
    };
  return all;
}

template <class... Ops>
Catalog catalog_of(std::vector<Catalog::Module> modules = {}) {
  Catalog c;
  c.add_ops(TypeList<Ops...>{});
  for (Catalog::Module& m : modules) c.add_module(m.name, m.samples);
  return c;
}

}  // namespace test_gradcheck
