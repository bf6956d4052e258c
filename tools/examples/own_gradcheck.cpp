#include <tapegrad/gradcheck/command.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/samples.h>
#include <tapegrad/tapegrad.h>

using namespace tapegrad;

struct Softsign {  // y = x / (1 + |x|): dy/dx = (1 - |y|)^2
  static constexpr auto name = "softsign";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kOut);
  auto f(auto x) const { return x / (1 + abs(x)); }
  auto vjp(auto g, auto, auto y) const { return g * (1 - abs(y)) * (1 - abs(y)); }
  // Only the second derivative jumps at 0: samples keep away from it.
  static void samples(Samples& s) { s.unary(Softsign{}, {-3, 3, {0}}); }
};

class Gated : public nn::Module {  // y = softsign(value(x)) * sigmoid(gate(x))
 public:
  Gated(std::int64_t in, std::int64_t out, Generator& rng) : value_(in, out, rng), gate_(in, out, rng) {}
  void visit(nn::Visitor& v) override { v("value", value_), v("gate", gate_); }
  Tensor forward(const Tensor& x) override { return apply_op(Softsign{}, value_(x)) * sigmoid(gate_(x)); }

 private:
  nn::Affine value_, gate_;
};

std::vector<gradcheck::ModuleSample> gated_samples(Generator& rng) {
  std::vector<gradcheck::ModuleSample> samples;
  samples.push_back({"wide", std::make_unique<Gated>(2, 5, rng), {Shape{3, 2}}});
  samples.push_back({"one row", std::make_unique<Gated>(4, 1, rng), {Shape{1, 4}}});
  return samples;
}

// The checking command for these: own_gradcheck --order 2 --format junit --output checks.xml
int main(int argc, char** argv) {
  return gradcheck::gradcheck_main<TypeList<Softsign>>(argc, argv,
                                                       gradcheck::Catalog::Module{"Gated", gated_samples});
}
