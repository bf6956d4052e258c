#include <algorithm>
#include <string_view>

#include <tapegrad/gradcheck/check/hints.h>
#include <tapegrad/gradcheck/report/results.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck::detail {

namespace {

/// How many bytes the UTF-8 character at the start of the text has; 0 where it is none that XML may contain.
std::size_t character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const unsigned first = byte(0);
  if (first < 0x80) return first >= 0x20 || first == '\n' || first == '\t' || first == '\r' ? 1 : 0;
  const std::size_t length = first >= 0xF0 && first < 0xF5 ? 4 : first >= 0xE0 ? 3 : first >= 0xC2 ? 2 : 0;
  if (length == 0 || first >= 0xF5) return 0;
  std::uint32_t code = first & (0x7Fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0u) != 0x80u) return 0;
    code = code << 6 | (byte(i) & 0x3Fu);
  }
  constexpr std::uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xD800 && code < 0xE000;
  return code < kSmallest[length] || code > 0x10FFFF || surrogate || code == 0xFFFE || code == 0xFFFF
             ? 0
             : length;
}

/// Fit for text and attributes: a line break stays one in an attribute, and what is no character becomes '?'.
std::string escaped(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t length = character(text);
    const char c = text[0];
    if (length == 0)
      out += '?';
    else if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else if (c == '\n' || c == '\t' || c == '\r')
      out += fmt::format("&#{};", static_cast<int>(c));
    else
      out += text.substr(0, length);
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

class Suite {
 public:
  explicit Suite(const Subject& s) : subject_(s) {}

  void passed(const std::string& name, double seconds) { test_case(name, seconds, ""); }
  void skipped(const std::string& name, double seconds, const std::string& message) {
    ++skipped_;
    test_case(name, seconds, fmt::format("      <skipped message=\"{}\"/>\n", escaped(message)));
  }
  void failed(const std::string& name, double seconds, std::string_view verdict, const std::string& message,
              const std::string& text) {
    ++failures_;
    test_case(name, seconds,
              fmt::format("      <failure type=\"{}\" message=\"{}\">{}</failure>\n", escaped(verdict),
                          escaped(message), escaped(text)));
  }

  std::string text() const {
    return fmt::format(
        "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" "
        "time=\"{:.3f}\">\n{}"
        "  </testsuite>\n",
        escaped(subject_.name), tests_, failures_, skipped_, seconds_, cases_);
  }
  std::size_t tests() const { return tests_; }
  std::size_t failures() const { return failures_; }
  std::size_t skipped() const { return skipped_; }

 private:
  void test_case(const std::string& name, double seconds, const std::string& inside) {
    ++tests_;
    seconds_ += seconds;
    const std::string_view kind = subject_.kind == Subject::Kind::module ? "modules" : "ops";
    cases_ += fmt::format("    <testcase classname=\"gradcheck.{}.{}\" name=\"{}\" time=\"{:.3f}\"", kind,
                          escaped(subject_.name), escaped(name), seconds);
    cases_ += inside.empty() ? "/>\n" : ">\n" + inside + "    </testcase>\n";
  }

  const Subject& subject_;
  std::size_t tests_ = 0, failures_ = 0, skipped_ = 0;
  double seconds_ = 0;
  std::string cases_;
};

Suite suite_of(const CommandOptions& o, const Subject& s) {
  Suite suite(s);
  for (const Subject::Sample& sample : s.samples) {
    const Report& r = sample.report;
    const std::string name = number_text(o, sample) + (sample.label.empty() ? "" : " ") + sample.label;
    const bool excused =
        r.verdict() == Verdict::inconclusive && !sample.unexpectedly_inconclusive() && !o.strict;
    if (excused)
      suite.skipped(name, sample.seconds, "inconclusive, and marked for it");
    else if (r.verdict() == Verdict::fail && !s.waived.empty())
      suite.skipped(name, sample.seconds, "waived " + s.waived);
    else if (r.verdict() == Verdict::fail || r.verdict() == Verdict::inconclusive)
      suite.failed(name, sample.seconds, name_of(r.verdict()), to_string(r.worst()),
                   fmt::format("{}\nrepeat: {}\n", r.text(), repro_command(o, s, sample)));
    else
      suite.passed(name, sample.seconds);
  }
  // Always there, as a viewer follows a case from run to run. A single sample proves nothing.
  const std::string proof = "derivatives other than zero";
  if (s.standing == Subject::Standing::unproven)
    suite.failed(proof, 0, name_of(s.standing), s.unproven.front(),
                 fmt::format("{}", fmt::join(s.unproven, "\n")));
  else if (s.standing == Subject::Standing::not_differentiable)
    suite.skipped(proof, 0, "not differentiable");
  else if (o.repro.empty())
    suite.passed(proof, 0);
  return suite;
}

}  // namespace

std::string junit_text(const Results& r) {
  std::string suites;
  std::size_t tests = 0, failures = 0, skipped = 0;
  for (const Subject& s : r.subjects) {
    const Suite suite = suite_of(r.options, s);
    suites += suite.text();
    tests += suite.tests();
    failures += suite.failures();
    skipped += suite.skipped();
  }
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<testsuites name=\"gradcheck\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" "
      "time=\"{:.3f}\">\n{}"
      "</testsuites>\n",
      tests, failures, skipped, r.seconds, suites);
}

}  // namespace tapegrad::gradcheck::detail
