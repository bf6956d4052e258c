#include <tapegrad/nn/io/file.h>
#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

// Two apples at 100 and three oranges at 150, with a tax of 10 percent: what does it cost, and how does that
// change with each of these numbers? The graph is written to the file named, or printed; to draw it:
// shopping shopping.dot && dot -Tsvg shopping.dot -o shopping.svg
int main(int argc, char** argv) {
  Tape tape;
  const auto input = [&](double value) { return tape.watch(Tensor::scalar(value, f64)); };
  const Tensor apple = input(100), apples = input(2), orange = input(150), oranges = input(3),
               tax = input(1.1);
  const Tensor for_apples = apple * apples;
  const Tensor for_oranges = orange * oranges;
  const Tensor before_tax = for_apples + for_oranges;
  const Tensor total = before_tax * tax;

  std::vector<DotTensor> tensors{{apple, "price of an apple"},
                                 {apples, "apples"},
                                 {orange, "price of an orange"},
                                 {oranges, "oranges"},
                                 {tax, "tax"},
                                 {for_apples, "for apples"},
                                 {for_oranges, "for oranges"},
                                 {before_tax, "before tax"},
                                 {total, "total"}};
  for (DotTensor& t : tensors) {
    t.gradient = tape.grad(total, t.tensor);
    fmt::print("{:<20}{:>6}   d total / d this {:>6}\n", t.name, to_string(t.tensor), to_string(t.gradient));
  }
  const std::string graph = to_dot(tape, {.tensors = tensors});
  if (argc < 2) {
    fmt::print("\n{}", graph);
    return 0;
  }
  nn::AtomicFile file(argv[1]);
  file.write(graph);
  file.commit();
}
