// A user's program of ranks; without mpirun it is the only one.
#include <tapegrad/nn/distributed/mpi/run_with_mpi.h>
#include <tapegrad/tapegrad.h>

using namespace tapegrad;

int main() {
  return nn::run_with_mpi([](nn::Communicator& comm) {
    Generator rng(0);
    nn::Affine net(3, 2, rng);
    Tape tape;
    const Gradients g = average(comm, net, tape.backward(sum(net(Tensor::ones({4, 3})))));
    return comm.size() == 1 && g[net.bias()].values<float>()[0] == 4 ? 0 : 1;
  });
}
