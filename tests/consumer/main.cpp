#include <tapegrad/tapegrad.h>

using namespace tapegrad;

int main() {
  Parameter w(Tensor::from({1, 2, 3}));
  Tape tape;
  Tensor loss = sum(square(w));
  Gradients g = tape.backward(loss);
  return loss.item() == 14 && sum(g[w]).item() == 12 ? 0 : 1;
}
