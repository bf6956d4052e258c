// What takes long or does not end: the command names the sample, and with a limit ends with a whole report.

#include <chrono>
#include <thread>

#include <tapegrad/ops/tensor/reduce.h>

#include "gradcheck_support.h"
#include "process_support.h"

using namespace test_gradcheck;

namespace {

// Long enough for every sample that ends, and as it is printed.
#ifdef __SANITIZE_ADDRESS__
const std::string kLimit = "4";
#else
const std::string kLimit = "0.5";
#endif

[[noreturn]] void never_end() {
  for (;;) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

/// x^2, which does not end for one of its samples, or where an input moves, or in its rule, or has none.
enum class Where { nowhere, function, moved, rule, samples };
template <Where kWhere>
struct Endless {
  static constexpr auto name = kWhere == Where::nowhere    ? "ends"
                               : kWhere == Where::function ? "endless_function"
                               : kWhere == Where::moved    ? "endless_moved"
                               : kWhere == Where::rule     ? "endless_rule"
                                                           : "endless_samples";
  static constexpr auto saves = saves_for(kIn0 | kIn1);
  static Tensor forward(const Tensor& x, const Tensor& factor) {
    if (kWhere == Where::function && x.size() == 3) never_end();
    if (kWhere == Where::moved && x.size() == 3) {
      if (factor.dtype() != f64) return mul(mul(x, x), factor);
      const auto f = factor.values<double>();
      if (f[0] != 1 && f[1] == 1 && f[2] == 1) never_end();
    }
    return mul(mul(x, x), factor);
  }
  static void vjp(VjpContext<Endless>& ctx) {
    if (kWhere == Where::rule && !ctx.recording() && ctx.input_shape(0) == Shape{3}) never_end();
    const Tensor g = ctx.grad_output(), x = ctx.template input<0>(), factor = ctx.template input<1>();
    if (ctx.needs_grad(0)) ctx.add(0, mul(mul(g, mul(x, 2)), factor));
    if (ctx.needs_grad(1)) ctx.add(1, mul(g, mul(x, x)));
  }
  static void samples(Samples& s) {
    if (kWhere == Where::samples) never_end();
    const SampleInput ones = SampleInput::of(Tensor::full({2}, 1, f64));
    s.add(Endless{}, {Shape{2}, ones}, "first");
    s.add(Endless{}, {Shape{3}, SampleInput::of(Tensor::full({3}, 1, f64))}, "second");
    s.add(Endless{}, {Shape{2}, ones}, "third");
  }
};

std::vector<gradcheck::ModuleSample> endless_module(Generator& g) {
  std::vector<gradcheck::ModuleSample> all = affine(g);
  all[0].function = [](nn::ModuleBase&, std::span<const Tensor>) -> std::vector<Tensor> { never_end(); };
  return all;
}

/// As run(), in a process of its own, which the command may end.
Outcome run_apart(const Catalog& catalog, std::vector<std::string> arguments) {
  const test::TemporaryFolder folder;
  arguments.insert(arguments.begin(), "check");
  std::vector<const char*> argv;
  for (const std::string& a : arguments) argv.push_back(a.c_str());
  const std::string out = folder / "out", err = folder / "err";
  std::fflush(nullptr);  // what is buffered would be written by the child once more
  const pid_t child = test::start_process([&] {
    if (!std::freopen(out.c_str(), "w", stdout) || !std::freopen(err.c_str(), "w", stderr)) ::_exit(99);
    const int code = gradcheck::run_program(catalog, static_cast<int>(argv.size()), argv.data());
    std::fflush(nullptr);
    ::_exit(code);
  });
  int status = 0;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  BOOST_REQUIRE(WIFEXITED(status));
  return {WEXITSTATUS(status), test::read_file(out), test::read_file(err)};
}

Json json_apart(const Catalog& catalog, std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), {"--format", "json"});
  const Outcome o = run_apart(catalog, arguments);
  const Json all = Json::parse(o.out);
  const Json schema =
      Json::parse(test::read_file(test::in_source("tools/gradcheck/report/report.schema.json")));
  for (const std::string& violation : test::Schema(schema).violations(all)) BOOST_ERROR(violation);
  BOOST_TEST(all["summary"]["exit_code"] == o.code);
  return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(gradcheck_time)

BOOST_AUTO_TEST_CASE(a_sample_that_does_not_end) {
  const Catalog c =
      catalog_of<Twice, Endless<Where::function>, Endless<Where::moved>, Endless<Where::rule>,
                 Endless<Where::samples>, Once>({{"endless_module", endless_module}, {"affine", affine}});
  for (const char* threads : {"1", "3"}) {
    const Json all = json_apart(c, {"--time-limit", kLimit, "--threads", threads});
    BOOST_TEST(all["options"]["time_limit"] == std::stod(kLimit));
    BOOST_TEST(all["summary"]["checked"] == 8);
    BOOST_TEST(all["summary"]["pass"] == 3);
    BOOST_TEST(all["summary"]["fail"] == 5);
    BOOST_TEST(all["summary"]["exit_code"] == 1);
    // What had ended before is there, too.
    const Json& subjects = all["subjects"];
    for (const std::size_t i : {1, 2, 3}) {
      const Json& samples = subjects[i]["samples"];
      BOOST_TEST_REQUIRE(samples.size() == 2u);
      BOOST_TEST(samples[0]["findings"].size() == 0u);
      BOOST_TEST(samples[1]["number"] == 1);
      BOOST_TEST(samples[1]["label"] == "second [3] [3]");
      BOOST_TEST(samples[1]["verdict"] == "FAIL");
      const Json& f = samples[1]["findings"][0];
      BOOST_TEST(f["what"] == "time limit");
      BOOST_TEST(f["input"] == (i == 2 ? "input 1[0]" : "all inputs"));
      const std::string place = i == 1 ? "function" : i == 2 ? "gradient, input 1[0]" : "gradient";
      BOOST_TEST(contains(f["message"].get<std::string>(),
                          "not ended after " + kLimit + " s, at order 1, " + place));
      const std::string repro = samples[1]["repro"];
      BOOST_TEST(contains(repro, "#1:seed=0\" --time-limit " + kLimit));
    }
    BOOST_TEST(subjects[4]["samples"][0]["label"] == "samples");
    BOOST_TEST(subjects[6]["samples"][0]["label"] == "first [4, 3]");
  }
}

BOOST_AUTO_TEST_CASE(one_sample_alone_and_other_reports) {
  const Catalog c = catalog_of<Twice, Endless<Where::rule>, Once>();
  const Outcome alone = run_apart(c, {"--repro", "endless_rule#1", "--time-limit", kLimit});
  BOOST_TEST(alone.code == 1);
  BOOST_TEST(contains(alone.out, "FAIL: order 1, time limit, all inputs: it has not ended after " + kLimit +
                                     " s, at order 1, gradient"),
             alone.out);
  const Outcome fast = run_apart(c, {"--fail-fast", "--threads", "3", "--time-limit", kLimit});
  BOOST_TEST(fast.code == 1);
  BOOST_TEST(contains(fast.out, "stopped at the first that does not pass"));
  const Outcome junit = run_apart(c, {"--format", "junit", "--time-limit", kLimit});
  BOOST_TEST(junit.code == 1);
  BOOST_TEST(contains(junit.out, "</testsuites>"));
  BOOST_TEST(contains(junit.out, "has not ended"));
  const Outcome self_test = run_apart(c, {"--self-test", "--time-limit", kLimit});
  BOOST_TEST(self_test.code == 4);
  BOOST_TEST(contains(self_test.out, "has not ended"), self_test.out);
  BOOST_TEST(contains(self_test.out, "\nonce"), self_test.out);
}

BOOST_AUTO_TEST_CASE(what_ends_in_time) {
  const Catalog c = catalog_of<Twice, Endless<Where::nowhere>, WrongTwice>({{"affine", affine}});
  const Outcome usual = run(c, {"-v"}), limited = run(c, {"-v", "--time-limit", "100"});
  BOOST_TEST(usual.code == 1);
  BOOST_TEST(limited.code == 1);
  BOOST_TEST(lines_of(usual.out).size() == lines_of(limited.out).size());
  BOOST_TEST(usual.err == "");
  for (const char* wrong : {"0", "-1", "soon"}) BOOST_TEST(code(c, {"--time-limit", wrong}) == 2, wrong);
}

BOOST_AUTO_TEST_CASE(what_runs_for_long_is_named) {
  const Outcome o = run_apart(catalog_of<Endless<Where::rule>>(), {"--time-limit", "3"});
  const std::vector<std::string> lines = lines_of(o.err);
  BOOST_TEST_REQUIRE(lines.size() == 1u, o.err);
  BOOST_TEST(
      contains(lines[0], "check: endless_rule#1 second [3] [3] has been running for 2 s: order 1, gradient"),
      lines[0]);
}

BOOST_AUTO_TEST_SUITE_END()
