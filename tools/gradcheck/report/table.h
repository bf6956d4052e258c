#pragma once

#include <string>
#include <vector>

#include <tapegrad/gradcheck/command/selection.h>
#include <tapegrad/gradcheck/report/results.h>

namespace tapegrad::gradcheck::detail {

/// The results for readers: a row for each op and module, below it what does not pass and how to repeat it.
class Table {
 public:
  Table(const CommandOptions& options, const std::vector<Job>& jobs);

  std::string header() const;
  std::string rows(const Subject& subject) const;
  std::string summary(const Results& results) const;

 private:
  std::string numbers(const Finding& worst, const std::string& sample) const;
  std::string details(const Subject& subject, const Subject::Sample& sample) const;

  const CommandOptions& options_;
  std::size_t name_;
};

/// What --list prints.
std::string listing(const std::vector<Job>& jobs);

}  // namespace tapegrad::gradcheck::detail
