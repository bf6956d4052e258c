// What takes long or does not end: the command names the sample, and with a limit ends with a whole report.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include <tapegrad/gradcheck/command/watch.h>
#include <tapegrad/ops/tensor/reduce.h>

#include "gradcheck_support.h"
#include "process_support.h"

namespace gradcheck_time_test {

using namespace test_gradcheck;

namespace {

// As they are printed. Which is long enough for what ends depends on the machine and on what else it does;
// what does not end runs over any.
const std::vector<std::string> kLimits{"0.5", "4", "32"};

[[noreturn]] void never_end() {
  for (;;) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

/// Blocked in stdio, where it holds the lock of its stream.
[[noreturn]] void read_what_is_never_written() {
  int ends[2];
  std::FILE* const stream = ::pipe(ends) == 0 ? ::fdopen(ends[0], "r") : nullptr;
  if (stream) std::fgetc(stream);
  std::abort();
}

/// x^2, which does not end for one of its samples, or where an input moves, or in its rule, or has none, or
/// blocks, or ends a number of times.
enum class Where { nowhere, function, moved, rule, samples, reading, late };
template <Where kWhere>
struct Endless {
  static constexpr auto name = kWhere == Where::nowhere    ? "ends"
                               : kWhere == Where::function ? "endless_function"
                               : kWhere == Where::moved    ? "endless_moved"
                               : kWhere == Where::rule     ? "endless_rule"
                               : kWhere == Where::reading  ? "endless_reading"
                               : kWhere == Where::late     ? "endless_late"
                                                           : "endless_samples";
  static constexpr auto saves = saves_for(kIn0 | kIn1);
  static Tensor forward(const Tensor& x, const Tensor& factor) {
    if (kWhere == Where::function && x.size() == 3) never_end();
    if (kWhere == Where::reading && x.size() == 3) read_what_is_never_written();
    static int calls = 0;  // some of its mutations have been tested then
    if (kWhere == Where::late && ++calls > 5000) never_end();
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
    ::alarm(600);  // should the command itself not end
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

Json json_apart(const Catalog& catalog, std::vector<std::string> arguments, const std::string& schema) {
  arguments.insert(arguments.end(), {"--format", "json"});
  const Outcome o = run_apart(catalog, arguments);
  const Json all = Json::parse(o.out);
  const Json described = Json::parse(test::read_file(test::in_source("tools/gradcheck/report/" + schema)));
  for (const std::string& violation : test::Schema(described).violations(all)) BOOST_ERROR(violation);
  BOOST_TEST(all["summary"]["exit_code"] == o.code);
  return all;
}

/// Each op and module, and the findings of its samples.
std::string findings_of(const Json& all) {
  std::string text;
  for (const Json& subject : all["subjects"]) {
    text += subject["name"].get<std::string>() + " " + subject["verdict"].get<std::string>() + "\n";
    for (const Json& sample : subject["samples"])
      for (const Json& f : sample["findings"]) {
        const std::string message = f["message"];
        text += "  #" + std::to_string(sample["number"].get<int>()) + " " +
                sample["label"].get<std::string>() + ": " + f["what"].get<std::string>() + ", " +
                f["input"].get<std::string>() + f["index"].get<std::string>() + ": " +
                message.substr(0, message.find(';')) + "\n";
      }
  }
  return text;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(gradcheck_time)

BOOST_AUTO_TEST_CASE(a_sample_that_does_not_end) {
  const Catalog c = catalog_of<Twice, Endless<Where::function>, Endless<Where::moved>, Endless<Where::rule>,
                               Endless<Where::samples>, Endless<Where::reading>, Once>(
      {{"endless_module", endless_module}, {"affine", affine}});
  for (const char* threads : {"1", "3"}) {
    Json all;
    std::string expected;
    for (const std::string& limit : kLimits) {
      all = json_apart(c, {"--time-limit", limit, "--threads", threads}, "report.schema.json");
      const std::string second = "  #1 second [3] [3]: time limit, ";
      const std::string over = ": it has not ended after " + limit + " s, at order 1";
      expected =
          "twice PASS\n"
          "endless_function FAIL\n" +
          second + "all inputs" + over +
          ", function\n"
          "endless_moved FAIL\n" +
          second + "input 1[0]" + over +
          ", gradient, input 1[0]\n"
          "endless_rule FAIL\n" +
          second + "all inputs" + over +
          ", gradient\n"
          "endless_samples FAIL\n  #0 samples: time limit, all inputs" +
          over +
          "\n"
          "endless_reading FAIL\n" +
          second + "all inputs" + over +
          ", function\n"
          "once PASS\n"
          "endless_module FAIL\n  #0 first [4, 3]: time limit, all inputs" +
          over +
          "\n"
          "affine PASS\n";
      if (findings_of(all) == expected) break;
    }
    BOOST_TEST(findings_of(all) == expected);
    BOOST_TEST(all["summary"]["checked"] == 9);
    BOOST_TEST(all["summary"]["pass"] == 3);
    BOOST_TEST(all["summary"]["fail"] == 6);
    BOOST_TEST(all["summary"]["exit_code"] == 1);
    const Json& moved = all["subjects"][2]["samples"];
    BOOST_TEST_REQUIRE(moved.size() == 2u);  // what had ended before is there, too
    BOOST_TEST(moved[1]["findings"][0]["input"] == "input 1");
    BOOST_TEST(moved[1]["findings"][0]["index"] == "[0]");
    BOOST_TEST(moved[1]["verdict"] == "FAIL");
    BOOST_TEST(contains(moved[1]["repro"].get<std::string>(), "#1:seed=0\" --time-limit "));
  }
}

BOOST_AUTO_TEST_CASE(one_sample_alone_and_other_reports) {
  const Catalog c = catalog_of<Twice, Endless<Where::rule>, Once>();
  const std::string limit = kLimits[0];
  const Outcome alone = run_apart(c, {"--repro", "endless_rule#1", "--time-limit", limit});
  BOOST_TEST(alone.code == 1);
  BOOST_TEST(contains(alone.out, "FAIL: order 1, time limit, all inputs: it has not ended after " + limit +
                                     " s, at order 1"),
             alone.out);
  // The samples themselves may not end.
  const Outcome samples = run_apart(catalog_of<Endless<Where::samples>>(),
                                    {"--repro", "endless_samples#0", "--time-limit", limit});
  BOOST_TEST(samples.code == 1);
  BOOST_TEST(contains(samples.out, "it has not ended after " + limit + " s"), samples.out);
  const Outcome fast = run_apart(c, {"--fail-fast", "--threads", "3", "--time-limit", limit});
  BOOST_TEST(fast.code == 1);
  BOOST_TEST(contains(fast.out, "stopped at the first that does not pass"));
  const Outcome junit = run_apart(c, {"--format", "junit", "--time-limit", limit});
  BOOST_TEST(junit.code == 1);
  BOOST_TEST(contains(junit.out, "</testsuites>"));
  BOOST_TEST(contains(junit.out, "has not ended"));
}

BOOST_AUTO_TEST_CASE(a_self_test_that_does_not_end) {
  const Catalog c = catalog_of<Endless<Where::late>, Endless<Where::samples>, Small>();
  Json all;
  for (const std::string& limit : kLimits) {
    all = json_apart(c, {"--self-test", "--time-limit", limit}, "self_test.schema.json");
    // Of a sample that ends, time may be over as well.
    if (all["summary"]["error"] == 2 && all["subjects"][0]["mutations"].size() > 1) break;
  }
  BOOST_TEST(all["summary"]["exit_code"] == 4);
  BOOST_TEST(all["summary"]["error"] == 2);
  const Json& late = all["subjects"][0]["mutations"];
  BOOST_TEST_REQUIRE(late.size() > 1u);
  for (std::size_t i = 0; i + 1 < late.size(); ++i) BOOST_TEST(late[i]["status"] != "ERROR", late[i]);
  const std::string mutation = late.back()["mutation"], explanation = late.back()["explanation"];
  BOOST_TEST(late.back()["status"] == "ERROR");
  BOOST_TEST(!contains(mutation, "["), mutation);  // it is called as others are, without the sample
  BOOST_TEST(explanation.starts_with("endless_late#"), explanation);
  BOOST_TEST(contains(explanation, "the mutations that follow it were not checked"), explanation);
  const Json& samples = all["subjects"][1]["mutations"];
  BOOST_TEST_REQUIRE(samples.size() == 1u);
  BOOST_TEST(samples[0]["mutation"] == "samples");
  BOOST_TEST(samples[0]["status"] == "ERROR");
  for (const Json& m : all["subjects"][2]["mutations"]) BOOST_TEST(m["status"] != "ERROR", m);
}

BOOST_AUTO_TEST_CASE(what_ends_in_time) {
  const Catalog c = catalog_of<Twice, Endless<Where::nowhere>, WrongTwice>({{"affine", affine}});
  const auto start = std::chrono::steady_clock::now();
  const Outcome usual = run(c, {"-v"});
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  const Outcome limited = run(c, {"-v", "--time-limit", "100"});
  BOOST_TEST(usual.code == 1);
  BOOST_TEST(limited.code == 1);
  BOOST_TEST(lines_of(usual.out).size() == lines_of(limited.out).size());
  // On a busy machine a sample may take long indeed.
  if (seconds.count() < 2) BOOST_TEST(usual.err == "");
  for (const char* wrong : {"0", "-1", "soon"}) BOOST_TEST(code(c, {"--time-limit", wrong}) == 2, wrong);
}

BOOST_AUTO_TEST_CASE(what_hangs_is_named) {
  // After 10 s, and at 12 or 60 its time is over.
  const std::string named = "check: endless_rule#1 second [3] [3] has been running for ";
  std::string err;
  for (const char* limit : {"12", "60"}) {
    err = run_apart(catalog_of<Endless<Where::rule>>(), {"--time-limit", limit}).err;
    if (contains(err, named)) break;
  }
  BOOST_TEST_REQUIRE(contains(err, named), err);
  BOOST_TEST(contains(err, " s: order 1, gradient\n"), err);
}

BOOST_AUTO_TEST_CASE(the_slowest_are_named_once) {
  gradcheck::detail::Watch watch("check", 0);
  BOOST_TEST(watch.slowest() == "");
  for (const double seconds : {1.9, 2.5, 7.0, 0.1, 3.0, 2.0, 7.0, 4.0})
    watch.ended("a#" + std::to_string(static_cast<int>(10 * seconds)), seconds);
  BOOST_TEST(watch.slowest() ==
             "check: a#70 took 7.0 s of processor time\n"
             "check: a#70 took 7.0 s of processor time\n"
             "check: a#40 took 4.0 s of processor time\n");
}

BOOST_AUTO_TEST_CASE(waiting_is_no_work) {
  const double before = gradcheck::detail::processor_seconds();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  BOOST_TEST(gradcheck::detail::processor_seconds() - before < 0.2);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace gradcheck_time_test
