#pragma once

#include <cstdio>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <unistd.h>

#include <tapegrad/gradcheck/command.h>

#include <boost/test/unit_test.hpp>

#include "folders.h"
#include "gradcheck_ops.h"
#include "json_schema.h"
#include "support.h"

/// The checking command as it is seen from outside.
namespace test_gradcheck {

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

using Json = nlohmann::json;

inline Json results_of(const Catalog& catalog, std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), {"--format", "json"});
  const Outcome o = run(catalog, arguments);
  const Json all = Json::parse(o.out);
  const Json schema =
      Json::parse(test::read_file(test::in_source("tools/gradcheck/report/report.schema.json")));
  for (const std::string& violation : test::Schema(schema).violations(all)) BOOST_ERROR(violation);
  BOOST_TEST(all["summary"]["exit_code"] == o.code);
  return all;
}

}  // namespace test_gradcheck
