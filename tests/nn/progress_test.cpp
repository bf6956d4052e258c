#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include <tapegrad/graph/random.h>
#include <tapegrad/nn/layers/layers.h>
#include <tapegrad/nn/train/progress.h>
#include <tapegrad/optim/rules.h>

#include <boost/test/unit_test.hpp>

#include "support.h"

namespace progress_test {

using namespace tapegrad;

BOOST_AUTO_TEST_SUITE(progress)

namespace {

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

/// Trains for two epochs of five updates and shows it.
void train(std::FILE* out, double validation) {
  Generator rng(0);
  const nn::Dataset data(randn({50, 2}, rng), integers({50}, rng, 0, 3), 3);
  nn::Affine net(2, 3, rng);
  optim::SGD sgd(net, 0.1);
  const nn::Progress progress(out);
  nn::Trainer trainer(
      net, sgd,
      {.epochs = 2, .batch = 10, .validation = validation, .on_batch = progress, .on_epoch = progress});
  progress.line("a line of one's own");
  trainer.fit(data);
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_file_holds_whole_lines_alone) {
  const test::TemporaryFolder folder;
  {
    const File file(std::fopen((folder / "out").c_str(), "w"), std::fclose);
    BOOST_TEST_REQUIRE(file);
    train(file.get(), 0);
    train(file.get(), 0.2);
  }
  const std::string text = test::read_file(folder / "out");
  BOOST_TEST(std::count(text.begin(), text.end(), '\n') == 6);
  BOOST_TEST(text.find_first_of("\r\x1b[") == std::string::npos);
  BOOST_TEST(text.starts_with("a line of one's own\nepoch   1  iteration      5  training loss "));
  BOOST_TEST(text.find("  best\n") != std::string::npos);
  const std::size_t second = text.rfind("a line");
  BOOST_TEST(text.find("validation loss") > second);
  BOOST_TEST(text.find("validation loss") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_terminal_shows_a_bar_that_the_lines_replace) {
  const int master = posix_openpt(O_RDWR | O_NOCTTY);
  BOOST_TEST_REQUIRE(master >= 0);
  BOOST_TEST_REQUIRE(grantpt(master) == 0);
  BOOST_TEST_REQUIRE(unlockpt(master) == 0);
  std::string shown;
  {
    const File terminal(std::fopen(ptsname(master), "w"), std::fclose);
    BOOST_TEST_REQUIRE(terminal);
    train(terminal.get(), 0);
  }
  // A terminal hands out what was written in pieces of any size; after the last one a read fails.
  char block[4096];
  for (ssize_t n; (n = read(master, block, sizeof block)) > 0;)
    shown.append(block, static_cast<std::size_t>(n));
  close(master);
  // The first update is shown, the others come within a tenth of a second.
  const std::size_t bar =
      shown.find("\repoch   1  [##......................] iteration      1 of 10  batch loss ");
  const std::size_t line = shown.find("\r\x1b[Kepoch   1  iteration      5");
  BOOST_TEST(bar != std::string::npos);
  BOOST_TEST(line != std::string::npos);
  BOOST_TEST(bar < line);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace progress_test
