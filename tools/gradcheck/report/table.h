#pragma once

#include <string>
#include <vector>

#include <tapegrad/gradcheck/report/results.h>

namespace tapegrad::gradcheck::detail {

/// How wide a column of these names is.
std::size_t widest_of(const std::vector<std::string>& names);

/// The results for readers: a row for each op and module, below it what does not pass and how to repeat it.
class Table {
 public:
  Table(const CommandOptions& options, const std::vector<std::string>& names);

  std::string header() const;
  std::string rows(const Subject& subject) const;
  std::string summary(const Results& results) const;

 private:
  std::string numbers(const Finding& worst, const std::string& sample) const;
  std::string details(const Subject& subject, const Subject::Sample& sample) const;

  const CommandOptions& options_;
  std::size_t name_;
};

}  // namespace tapegrad::gradcheck::detail
