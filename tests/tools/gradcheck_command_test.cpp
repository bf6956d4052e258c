// The checking command: what it selects and prints, and how it exits. What it writes in other formats is in
// gradcheck_formats_test.cpp, what it does by several threads in gradcheck_threads_test.cpp.

#include <set>

#include <tapegrad/gradcheck/boost.h>
#include <tapegrad/ops/tensor/linalg.h>

#include "gradcheck_support.h"

namespace gradcheck_command_test {

using namespace test_gradcheck;

BOOST_AUTO_TEST_SUITE(gradcheck_command)

// ---- exit codes ----

BOOST_AUTO_TEST_CASE(exit_codes) {
  const Catalog good = catalog_of<Twice, Once, Detached>(), bad = catalog_of<Twice, WrongTwice>();
  BOOST_TEST(code(good, {}) == 0);
  BOOST_TEST(code(good, {"--order", "2", "-v"}) == 0);
  BOOST_TEST(code(good, {"--help"}) == 0);
  BOOST_TEST(code(good, {"--list"}) == 0);
  BOOST_TEST(code(bad, {}) == 1);
  BOOST_TEST(code(bad, {"--op", "twice"}) == 0);
  BOOST_TEST(code(bad, {"--op", "tw*", "--op", "wrong*", "--seed", "3"}) == 1);
  BOOST_TEST(code(catalog_of<OnlyAtZero>(), {}) == 1);
  // The samples of one op are nothing to the others.
  const Outcome thrown = run(catalog_of<Throwing, Twice>(), {});
  BOOST_TEST(thrown.code == 1);
  BOOST_TEST(contains(thrown.out, "\ntwice"));
  BOOST_TEST(contains(thrown.out, "FAIL: order 1, sample, threw: there are none\n"), thrown.out);
  BOOST_TEST(code(catalog_of<Throwing>(), {"--list"}) == 6);
}

BOOST_AUTO_TEST_CASE(wrong_usage) {
  const Catalog good = catalog_of<Twice, Once>({{"My.Affine", affine}});
  for (const std::vector<std::string>& wrong :
       std::vector<std::vector<std::string>>{{"--op", "nothing"},
                                             {"--op", "twice", "--op", "nothing"},
                                             {"--op", "My.Affine"},
                                             {"--module", "twice"},
                                             {"--order", "4"},
                                             {"--order", "two"},
                                             {"--rtol", "-1"},
                                             {"--seed"},
                                             {"--seed", "-1"},
                                             {"--probes", "0"},
                                             {"--samples", "0"},
                                             {"--threads", "0"},
                                             {"--shard", "0/2"},
                                             {"--shard", "3/2"},
                                             {"--shard", "1"},
                                             {"--shard", "1/2x"},
                                             {"--shard", "1/"},
                                             {"--format", "xml"},
                                             {"--output", "/nowhere/f"},
                                             {"--output", "/tmp"},
                                             {"--repro", "twice"},
                                             {"--repro", "twice#"},
                                             {"--repro", "#1"},
                                             {"--repro", "twice#1:seed="},
                                             {"--repro", "twice#1:s=1"},
                                             {"--repro", "twice#999"},
                                             {"--repro", "thrice#0"},
                                             {"--repro", "twice#0", "--op", "twice"},
                                             {"--list", "--repro", "twice#0"},
                                             {"--unknown"},
                                             {"stray"}}) {
    const Outcome o = run(good, wrong);
    BOOST_TEST(o.code == 2, wrong[0]);
    BOOST_TEST(lines_of(o.err).size() == 1u, o.err);
    BOOST_TEST(o.out == "", wrong[0]);
  }
  const auto message = [&](const std::vector<std::string>& arguments) { return run(good, arguments).err; };
  BOOST_TEST(contains(message({"--op", "twcie"}), "no op matches 'twcie'; close to it: twice;"));
  BOOST_TEST(contains(message({"--op", "affine"}), "close to it: My.Affine (a module);"));
  BOOST_TEST(contains(message({"--module", "affin?"}), "close to it: My.Affine;"));
  BOOST_TEST(contains(message({"--op", "My.Aff*"}),
                      "no op matches 'My.Aff*'; My.Affine is a module: give --module 'My.Aff*'"));
  BOOST_TEST(contains(message({"--module", "twice"}),
                      "no module matches 'twice'; twice is an op: give --op 'twice'"));
  BOOST_TEST(contains(message({"--op", "xxxxxxxx"}), "no op matches 'xxxxxxxx'; --list names all"));
  BOOST_TEST(contains(message({"--repro", "twice#999"}), "twice has no sample #999; its 7 samples"));
  gradcheck::CommandOptions negative;
  negative.time_limit = -1;
  BOOST_CHECK_EXCEPTION(gradcheck::run_command(good, negative), ArgumentError, [](const ArgumentError& e) {
    return contains(e.what(), "must be above 0, or 0 for any time");
  });
}

BOOST_AUTO_TEST_CASE(inconclusive) {
  const Catalog unmarked = catalog_of<FarSine>(), marked = catalog_of<MarkedFarSine>();
  BOOST_TEST(code(unmarked, {}) == 3);
  BOOST_TEST(code(unmarked, {"--strict"}) == 3);
  BOOST_TEST(code(marked, {}) == 0);
  BOOST_TEST(code(marked, {"--strict"}) == 3);
  BOOST_TEST(code(catalog_of<FarSine, WrongTwice>(), {}) == 1);
  BOOST_TEST(contains(run(marked, {}).out, "1 samples are inconclusive and marked for it"));
}

BOOST_AUTO_TEST_CASE(help_says_each_thing_once) {
  const std::string text = run(catalog_of<Twice>(), {"--help"}).out;
  BOOST_TEST(!contains(text, "Excludes"), text);
  BOOST_TEST(!contains(text, "{"), text);
  for (const char* line : {"\n  --order N=1 ", "\n  --dtype DTYPES=f64,f32 ", "\n  --time-limit SECONDS ",
                           "\n  --list  ", "\n  --list with --samples, ", "\n  6  the command"})
    BOOST_TEST(contains(text, line), text);
  std::set<std::string> lines;
  for (const std::string& line : lines_of(text))
    if (!line.empty()) BOOST_TEST(lines.insert(line).second, line);
  // What it says does not go together does not.
  for (const std::vector<std::string>& wrong :
       std::vector<std::vector<std::string>>{{"--list", "--output", "/dev/null"},
                                             {"--repro", "twice#0", "--shard", "1/2"},
                                             {"--self-test", "--samples", "2"},
                                             {"--self-test", "--order", "2"},
                                             {"--coverage", "--time-limit", "3"}})
    BOOST_TEST(code(catalog_of<Twice>(), wrong) == 2, wrong[0]);
}

// ---- what is checked ----

BOOST_AUTO_TEST_CASE(selection) {
  const Catalog c = catalog_of<Twice, Once, Detached>({{"My.Affine", affine}, {"Other", affine}});
  BOOST_TEST((checked(c, {}) == Names{"twice", "once", "detached", "My.Affine", "Other"}));
  BOOST_TEST((checked(c, {"--op", "*ce"}) == Names{"twice", "once"}));
  BOOST_TEST((checked(c, {"--module", "My.*"}) == Names{"My.Affine"}));
  BOOST_TEST((checked(c, {"--module", "*", "--op", "detached"}) == Names{"detached", "My.Affine", "Other"}));
  const std::vector<std::string> list = lines_of(run(c, {"--list"}).out);
  BOOST_TEST_REQUIRE(list.size() == 5u);
  BOOST_TEST(list[0] == "twice        7 samples  differentiable");
  BOOST_TEST(list[3] == "My.Affine    2 samples  module");
}

BOOST_AUTO_TEST_CASE(shards) {
  const Catalog c = catalog_of<Twice, Once, Detached>({{"My.Affine", affine}, {"Other", affine}});
  for (const int n : {1, 2, 3, 7}) {
    Names all;
    std::size_t count = 0;
    for (int i = 1; i <= n; ++i) {
      const Names part =
          i > 5 ? Names{} : checked(c, {"--shard", std::to_string(i) + "/" + std::to_string(n)});
      count += part.size();
      all.insert(part.begin(), part.end());
    }
    BOOST_TEST(count == 5u);
    BOOST_TEST(all.size() == 5u);
  }
  BOOST_TEST(contains(run(c, {"--shard", "2/3"}).out, "2 ops and modules (shard 2/3 of 5): "));
  BOOST_TEST(code(c, {"--shard", "6/7"}) == 0);
}

BOOST_AUTO_TEST_CASE(methods) {
  const Catalog c = catalog_of<Twice, WrongTwice>();
  const std::vector<std::vector<std::string>> all{{"--mode", "fast"},
                                                  {"--mode", "exhaustive"},
                                                  {"--dtype", "f64"},
                                                  {"--order", "3"},
                                                  {"--excuse-atol", "1e-9"}};
  for (const std::vector<std::string>& options : all) {
    const Json r = results_of(c, options);
    BOOST_TEST(r["subjects"][0]["verdict"] == "PASS", options[1]);
    BOOST_TEST(r["subjects"][1]["verdict"] == "FAIL", options[1]);
    const std::string repro = r["subjects"][1]["samples"][2]["repro"];
    BOOST_TEST(repro == "check --repro \"wrong_twice#2:seed=0\" " + options[0] + " " +
                            (options[1] == "1e-9" ? "1e-09" : options[1]));
  }
  // In f32 the rule does what it does in f64, which is all that is asked.
  BOOST_TEST(code(c, {"--dtype", "f32"}) == 0);
  BOOST_TEST(results_of(c, {"--dtype", "f32,f64"})["options"]["dtype"] == "f64,f32");
  // Excused is not passed.
  BOOST_TEST(code(c, {"--excuse-atol", "1e9"}) == 3);
}

BOOST_AUTO_TEST_CASE(draws) {
  const Catalog c = catalog_of<Twice>({{"affine", affine}});
  const Json three = results_of(c, {"--samples", "3", "--seed", "5"});
  for (const Json& subject : three["subjects"]) {
    std::set<std::pair<int, int>> seen;
    for (const Json& s : subject["samples"]) seen.insert({s["number"].get<int>(), s["seed"].get<int>()});
    BOOST_TEST(seen.size() == subject["samples"].size());
    BOOST_TEST(seen.contains({1, 5}));
    BOOST_TEST(seen.contains({1, 7}));
    BOOST_TEST(!seen.contains({1, 8}));
  }
  const Json last = results_of(c, {"--seed", "7"});
  for (std::size_t k = 0; k < 2; ++k) {
    const Json &of_three = three["subjects"][k]["samples"], &of_one = last["subjects"][k]["samples"];
    BOOST_TEST_REQUIRE(of_three.size() == 3 * of_one.size());
    for (std::size_t i = 0; i < of_one.size(); ++i) {
      const Json& same = of_three[2 * of_one.size() + i];
      BOOST_TEST(same["worst"] == of_one[i]["worst"]);
      BOOST_TEST(same["inputs"] == of_one[i]["inputs"]);
    }
  }
}

// What is missing for one seed is missing for all its samples: it is said once.
BOOST_AUTO_TEST_CASE(draws_without_samples) {
  static int calls;
  const auto throws = [](Generator& g) {
    if (calls++ > 0) throw ArgumentError("of the first seed alone");
    return affine(g);
  };
  const auto gives_fewer = [](Generator& g) {
    std::vector<gradcheck::ModuleSample> all = affine(g);
    if (calls++ > 0) all.clear();
    return all;
  };
  for (const auto& [made, message] :
       {std::pair<gradcheck::ModuleSamples, const char*>(throws, "first seed alone"),
        {gives_fewer, "makes 0 samples, the first seed more"}}) {
    calls = 0;
    const Json all = results_of(catalog_of<>({{"changing", made}}), {"--samples", "3"});
    const Json& samples = all["subjects"][0]["samples"];
    BOOST_TEST_REQUIRE(samples.size() == 4u, message);
    for (const std::size_t i : {2, 3}) {
      BOOST_TEST(samples[i]["number"] == 0);
      BOOST_TEST(samples[i]["seed"] == i - 1);
      BOOST_TEST(samples[i]["label"] == "samples");
      BOOST_TEST(contains(samples[i]["findings"][0]["message"].get<std::string>(), message));
    }
  }
}

// ---- one sample ----

/// What a sample's JSON says, whatever the rest of the run.
Json essence(Json sample) {
  sample.erase("seconds");
  return sample;
}

BOOST_AUTO_TEST_CASE(every_sample_by_itself) {
  const Catalog c = catalog_of<Twice, WrongTwice, FarSine>({{"affine", affine}, {"forgetful", forgetful}});
  const std::vector<std::string> options{"--seed", "3", "--order", "2", "--rtol", "1e-09", "--probes", "3"};
  const Json all = results_of(c, options);
  std::size_t samples = 0;
  for (const Json& subject : all["subjects"])
    for (const Json& sample : subject["samples"]) {
      // The command is what a user would paste.
      const std::string number = std::to_string(sample["number"].get<int>());
      const std::string id = subject["name"].get<std::string>() + "#" + number + ":seed=3";
      BOOST_TEST(sample["repro"] == "check --repro \"" + id + "\" --order 2 --rtol 1e-09 --probes 3");
      const Json alone = results_of(c, {"--repro", id, "--order", "2", "--rtol", "1e-09", "--probes", "3"});
      BOOST_TEST_REQUIRE(alone["subjects"].size() == 1u);
      BOOST_TEST_REQUIRE(alone["subjects"][0]["samples"].size() == 1u);
      BOOST_TEST(essence(alone["subjects"][0]["samples"][0]) == essence(sample));
      const std::string verdict = sample["verdict"];
      BOOST_TEST(alone["summary"]["exit_code"] == (verdict == "FAIL"           ? 1
                                                   : verdict == "INCONCLUSIVE" ? 3
                                                                               : 0));
      ++samples;
    }
  BOOST_TEST(samples == 20u);
}

BOOST_AUTO_TEST_CASE(a_sample_in_full) {
  const Outcome o = run(catalog_of<WrongTwice>(), {"--repro", "wrong_twice#2"});
  BOOST_TEST(o.code == 1);
  BOOST_TEST(contains(o.out, "  wrong_twice#2 [7]\n"));
  BOOST_TEST(contains(o.out, "order 1, input 0: 0 agree, "));
  BOOST_TEST(contains(o.out, "\nFAIL; "));
}

// ---- the table ----

BOOST_AUTO_TEST_CASE(a_failure_in_the_table) {
  const Outcome o = run(catalog_of<Twice, WrongTwice>(), {"--order", "2"});
  for (const char* part :
       {"\nwrong_twice", "  wrong_twice#0 []\n",
        "FAIL: order 1, gradient by every rule, input 0[] of result []: analytic 3, numeric 2 +- ", ", step ",
        ", relative error 3.3e-01\n", "    in all 21 wrong and 0 inconclusive\n",
        "    hint: analytic = 1.5 x numeric\n",
        "    repeat: check --repro \"wrong_twice#1:seed=0\" --order 2\n", " more samples; -v shows all\n"})
    BOOST_TEST(contains(o.out, part), part << "\n" << o.out);
  BOOST_TEST(!contains(run(catalog_of<WrongTwice>(), {"-v"}).out, "-v shows all"));
  const std::string unproven = run(catalog_of<OnlyAtZero>(), {}).out;
  BOOST_TEST(contains(unproven, "UNPROVEN\n  order 1: no derivative other than zero in any sample\n"));
}

// ---- what two threads run ----

BOOST_AUTO_TEST_CASE(passes_that_one_thread_runs_alone_are_named) {
  const std::string text = run(catalog_of<Small>(), {"--coverage"}).out;
  BOOST_TEST(contains(text, "\n  small: forward\n"), text);
  BOOST_TEST(contains(text, "0 passes by two threads, 4 by one alone; 0 gaps"), text);
}

// ---- the self-test ----

BOOST_AUTO_TEST_CASE(mutations) {
  const Catalog c = catalog_of<Twice, Detached, Once>({{"affine", affine}});
  const Outcome good = run(c, {"--self-test"});
  BOOST_TEST(good.code == 0, good.out);
  BOOST_TEST(contains(good.out, "killed"));
  BOOST_TEST(contains(good.out, "\ndetached  not differentiable\n"));
  BOOST_TEST(contains(good.out, " mutations in 2 ops: "));
  // Where all gradients are 0 no mutation makes a difference.
  const Outcome unproven = run(catalog_of<OnlyAtZero, Twice>(), {"--self-test", "--fail-fast"});
  BOOST_TEST(unproven.code == 4);
  BOOST_TEST(contains(unproven.out, "FAIL\n  zero"), unproven.out);
  BOOST_TEST(!contains(unproven.out, "\ntwice"));
  BOOST_TEST(code(c, {"--self-test", "--module", "affine"}) == 2);
}

// ---- programs of users ----

BOOST_AUTO_TEST_CASE(a_program_for_ops_and_modules) {
  const char* arguments[] = {"mine", "--threads", "2"};
  const test::TemporaryFolder folder;
  Captured out(stdout, folder / "out");
  const int good = gradcheck::gradcheck_main<TypeList<Twice, Once>>(
      3, arguments, Catalog::Module{"one", affine}, Catalog::Module{"two", affine});
  const int bad = gradcheck::gradcheck_main<TypeList<>>(3, arguments, Catalog::Module{"wrong", forgetful});
  const int none = gradcheck::gradcheck_main<TypeList<Twice>>(1, arguments);
  const std::string text = out.end();
  BOOST_TEST(good == 0);
  BOOST_TEST(bad == 1);
  BOOST_TEST(none == 0);
  BOOST_TEST(contains(text, "4 ops and modules: 4 pass"));
  BOOST_TEST(contains(text, "repeat: mine --repro \"wrong#0:seed=0\"\n"));
}

BOOST_AUTO_TEST_CASE(in_a_test) {
  Generator g(3);
  const Tensor x = uniform({3, 2}, g, -1, 1), w = uniform({2, 4}, g, -1, 1);
  TAPEGRAD_CHECK_GRADIENTS([](const Tensor& a, const Tensor& b) { return tanh(matmul(a, b)); }, {x, w});
  TAPEGRAD_CHECK_GRADIENTS([](const Tensor& a) { return exp(a); }, {x}, {.order = 2});
  nn::Affine net(2, 3, g);
  TAPEGRAD_CHECK_MODULE_GRADIENTS(net, x);
}
BOOST_AUTO_TEST_CASE(in_a_test_that_fails, *boost::unit_test::expected_failures(1)) {
  TAPEGRAD_CHECK_GRADIENTS([](const Tensor& a) { return a * a.detach(); }, {Tensor::from({1, 2})});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace gradcheck_command_test
