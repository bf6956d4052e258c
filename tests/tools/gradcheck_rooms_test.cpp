// The folders of the checker depend on each other in one direction: command -> report -> mutation -> check.

#include <algorithm>
#include <array>
#include <filesystem>
#include <sstream>
#include <string>

#include <boost/test/unit_test.hpp>

#include "folders.h"
#include "support.h"

namespace gradcheck_rooms_test {

using namespace tapegrad;

BOOST_AUTO_TEST_SUITE(gradcheck_rooms)

BOOST_AUTO_TEST_CASE(folders_include_what_is_below_them) {
  const std::array<std::string, 4> upwards{"check", "mutation", "report", "command"};
  std::size_t seen = 0;
  for (std::size_t own = 0; own < upwards.size(); ++own)
    for (const auto& entry :
         std::filesystem::directory_iterator(test::in_source("tools/gradcheck/" + upwards[own]))) {
      std::istringstream lines(test::read_file(entry.path()));
      for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with("#include <tapegrad/gradcheck/")) continue;
        ++seen;
        for (std::size_t above = own + 1; above < upwards.size(); ++above)
          BOOST_TEST((line.find("/gradcheck/" + upwards[above] + "/") == line.npos), entry.path()
                                                                                         << ": " << line);
        BOOST_TEST((upwards[own] == "command" || line.find("/gradcheck/command.h") == line.npos),
                   entry.path() << ": " << line);
      }
    }
  BOOST_TEST(seen > 80u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace gradcheck_rooms_test
