#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/data/csv.h>

#include <boost/test/unit_test.hpp>

#include "support.h"

/// Tables that a test writes and reads.
namespace tapegrad::test {

struct CsvFixture {
  TemporaryFolder folder;
  const std::string path = folder / "table.csv";

  nn::Table read(std::string_view text, const nn::CsvOptions& options = {}) const {
    write_file(path, text);
    return nn::read_csv(path, options);
  }
  nn::Table apply(const nn::CsvFormat& format, std::string_view text) const {
    write_file(path, text);
    return format.read(path);
  }
  /// That the error names the file, and then says this.
  void check_refused(std::string_view text, const std::string& part,
                     const nn::CsvOptions& options = {}) const {
    BOOST_TEST_CONTEXT("of '" << text.substr(0, 100) << "', expected: " << part)
    BOOST_CHECK_EXCEPTION(read(text, options), FileError, mentions("'" + path + "' ", part));
  }
  void check_refused_by(const nn::CsvFormat& format, std::string_view text, const std::string& part) const {
    BOOST_TEST_CONTEXT("of '" << text.substr(0, 100) << "', expected: " << part)
    BOOST_CHECK_EXCEPTION(apply(format, text), FileError, mentions("'" + path + "' ", part));
  }
  /// That the options do not fit; the message says this.
  void check_impossible(std::string_view text, const nn::CsvOptions& options, const std::string& part) const {
    BOOST_TEST_CONTEXT(part)
    BOOST_CHECK_EXCEPTION(read(text, options), ArgumentError, mentions("read_csv: ", part));
  }
};

}  // namespace tapegrad::test
