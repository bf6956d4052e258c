#pragma once

#include <algorithm>
#include <filesystem>
#include <functional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <unistd.h>

#include <tapegrad/gradcheck/command.h>
#include <tapegrad/nn/layers/layers.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/tensor/linalg.h>

#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>

#include "folders.h"
#include "support.h"

/// Ops and modules for the checking command, and its output as it is seen from outside.
namespace test_gradcheck {

using namespace tapegrad;
using gradcheck::Catalog;
using Json = nlohmann::json;

// ---- ops and modules to check ----

struct Twice {
  static constexpr auto name = "twice";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kNone);
  auto f(auto x) const { return 2 * x; }
  auto vjp(auto g, auto, auto) const { return 2 * g; }
  static void samples(Samples& s) { s.unary(Twice{}, {-1, 1}); }
};
struct WrongTwice : Twice {
  static constexpr auto name = "wrong_twice";
  auto vjp(auto g, auto, auto) const { return 3 * g; }
  static void samples(Samples& s) { s.unary(WrongTwice{}, {-1, 1}); }
};
struct Once : Twice {  // differentiable once
  static constexpr auto name = "once";
  static constexpr std::uint8_t max_order = 1;
  static void samples(Samples& s) { s.unary(Once{}, {-1, 1}); }
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

// ---- running the command ----

struct Outcome {
  int code = -1;
  std::string out, err;
};

/// What goes to a descriptor while this lives.
class Captured {
 public:
  Captured(std::FILE* stream, const std::string& path) : stream_(stream), path_(path) {
    std::fflush(stream_);
    before_ = ::dup(::fileno(stream_));
    std::FILE* file = std::fopen(path.c_str(), "w");
    BOOST_REQUIRE(file);
    ::dup2(::fileno(file), ::fileno(stream_));
    std::fclose(file);
  }
  std::string end() {
    std::fflush(stream_);
    ::dup2(before_, ::fileno(stream_));
    ::close(before_);
    return test::read_file(path_);
  }

 private:
  std::FILE* stream_;
  std::string path_;
  int before_;
};

inline Outcome run(const Catalog& catalog, std::vector<std::string> arguments) {
  const test::TemporaryFolder folder;
  arguments.insert(arguments.begin(), "check");
  std::vector<const char*> argv;
  for (const std::string& a : arguments) argv.push_back(a.c_str());
  Captured out(stdout, folder / "out"), err(stderr, folder / "err");
  const int code = gradcheck::run_program(catalog, static_cast<int>(argv.size()), argv.data());
  Outcome outcome{code, out.end(), err.end()};
  return outcome;
}
inline int code(const Catalog& catalog, const std::vector<std::string>& arguments) {
  return run(catalog, arguments).code;
}

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}
inline bool contains(const std::string& text, std::string_view part) { return text.find(part) != text.npos; }

/// Without the seconds, which differ from run to run.
inline std::string untimed(const std::string& text) {
  std::string all;
  for (const std::string& line : lines_of(text)) all += line.substr(0, line.rfind(" in ")) + '\n';
  return all;
}

/// The first words of the table's rows.
inline std::set<std::string> checked(const Catalog& catalog, const std::vector<std::string>& arguments) {
  std::set<std::string> names;
  const Outcome o = run(catalog, arguments);
  const std::vector<std::string> lines = lines_of(o.out);
  BOOST_TEST_REQUIRE(lines.size() >= 2u, o.err);
  for (std::size_t i = 1; i + 1 < lines.size(); ++i) names.insert(lines[i].substr(0, lines[i].find(' ')));
  return names;
}
using Names = std::set<std::string>;

// ---- as much of JSON Schema as the schema uses ----

class Schema {
 public:
  explicit Schema(const Json& root) : root_(root) {}

  /// Every way in which the value is not what the schema says.
  std::vector<std::string> violations(const Json& value) const {
    std::vector<std::string> all;
    check(value, root_, "", all);
    return all;
  }

 private:
  static bool is(const std::string& type, const Json& v) {
    return type == "object"    ? v.is_object()
           : type == "array"   ? v.is_array()
           : type == "string"  ? v.is_string()
           : type == "boolean" ? v.is_boolean()
           : type == "integer" ? v.is_number_integer()
           : type == "number"  ? v.is_number()
                               : type == "null" && v.is_null();
  }

  void check(const Json& v, const Json& schema, const std::string& at,
             std::vector<std::string>& violations) const {
    const auto violation = [&](const std::string& what) { violations.push_back(at + ": " + what); };
    for (const auto& [key, rule] : schema.items()) {
      if (key == "$ref") {
        check(v, root_.at(Json::json_pointer(rule.get<std::string>().substr(1))), at, violations);
      } else if (key == "type") {
        const Json types = rule.is_array() ? rule : Json::array({rule});
        if (std::ranges::none_of(types, [&](const Json& t) { return is(t.get<std::string>(), v); }))
          violation(v.dump() + " is no " + rule.dump());
      } else if (key == "const") {
        if (v != rule) violation(v.dump() + " is not " + rule.dump());
      } else if (key == "enum") {
        if (std::ranges::find(rule, v) == rule.end()) violation(v.dump() + " is not one of " + rule.dump());
      } else if (key == "minimum") {
        if (v.is_number() && v < rule) violation(v.dump() + " is below " + rule.dump());
      } else if (key == "required") {
        for (const Json& name : rule)
          if (!v.contains(name.get<std::string>())) violation("there is no " + name.dump());
      } else if (key == "properties") {
        for (const auto& [name, sub] : rule.items())
          if (v.contains(name)) check(v[name], sub, at + '/' + name, violations);
      } else if (key == "additionalProperties") {
        for (const auto& [name, unused] : v.items())
          if (!schema["properties"].contains(name)) violation(name + " is not in the schema");
      } else if (key == "items") {
        for (std::size_t i = 0; i < v.size(); ++i)
          check(v[i], rule, at + '/' + std::to_string(i), violations);
      } else if (key == "anyOf") {
        const bool any = std::ranges::any_of(rule, [&](const Json& sub) {
          std::vector<std::string> its;
          check(v, sub, at, its);
          return its.empty();
        });
        if (!any) violation("fits none of the alternatives");
      } else {
        static const std::set<std::string> kWords{"$schema", "$defs", "title", "description"};
        if (!kWords.contains(key)) violation("this test does not know '" + key + "'");
      }
    }
  }

  const Json& root_;
};

inline Json results_of(const Catalog& catalog, std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), {"--format", "json"});
  const Outcome o = run(catalog, arguments);
  const Json all = Json::parse(o.out);
  const Json schema =
      Json::parse(test::read_file(test::in_source("tools/gradcheck/report/report.schema.json")));
  for (const std::string& violation : Schema(schema).violations(all)) BOOST_ERROR(violation);
  BOOST_TEST(all["summary"]["exit_code"] == o.code);
  return all;
}

}  // namespace test_gradcheck
