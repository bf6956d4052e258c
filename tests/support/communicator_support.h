// What every communicator has to do, for threads, MPI and one rank alike.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <tapegrad/nn/distributed/communicator.h>

#include <fmt/format.h>

namespace tapegrad::test {

/// The number that stands at place i of what a rank sends in the tests below.
inline std::int64_t sample_of(int rank, std::size_t i) {
  return 1000 * rank + static_cast<std::int64_t>(i % 97);
}

template <class T>
std::string wrong_sum(nn::Communicator& comm, std::size_t n) {
  std::vector<T> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<T>(sample_of(comm.rank(), i));
  comm.all_reduce(std::span(x));
  for (std::size_t i = 0; i < n; ++i) {
    std::int64_t sum = 0;
    for (int r = 0; r < comm.size(); ++r) sum += sample_of(r, i);
    if (x[i] != static_cast<T>(sum))
      return fmt::format("all_reduce of {}: {} at {}, not {}", n, x[i], i, sum);
  }
  return {};
}

inline std::string wrong_blocks(nn::Communicator& comm, std::size_t n) {
  const auto ranks = static_cast<std::size_t>(comm.size());
  std::vector<std::int64_t> own(n), all(n * ranks), sent(n * ranks), received(n * ranks, -1);
  for (std::size_t i = 0; i < n; ++i) own[i] = sample_of(comm.rank(), i);
  comm.all_gather(std::as_bytes(std::span(own)), std::as_writable_bytes(std::span(all)));
  for (int r = 0; r < comm.size(); ++r)
    for (std::size_t i = 0; i < n; ++i)
      if (all[static_cast<std::size_t>(r) * n + i] != sample_of(r, i))
        return fmt::format("all_gather of {}: rank {} at {}", n, r, i);

  // All but the last rank send, to all others.
  std::vector<std::uint8_t> sends(ranks, 1);
  sends.back() = 0;
  for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = sample_of(comm.rank(), i);
  comm.exchange(std::as_bytes(std::span(sent)), std::as_writable_bytes(std::span(received)),
                n * sizeof(std::int64_t), sends);
  for (int r = 0; r < comm.size(); ++r)
    for (std::size_t i = 0; i < n; ++i) {
      const std::int64_t expected = sends[static_cast<std::size_t>(r)] && r != comm.rank()
                                        ? sample_of(r, static_cast<std::size_t>(comm.rank()) * n + i)
                                        : -1;
      if (received[static_cast<std::size_t>(r) * n + i] != expected)
        return fmt::format("exchange of {}: from rank {} at {}", n, r, i);
    }

  for (int root = 0; root < comm.size(); ++root) {
    std::vector<std::int64_t> x(n);
    for (std::size_t i = 0; i < n; ++i) x[i] = sample_of(comm.rank(), i);
    comm.broadcast(std::as_writable_bytes(std::span(x)), root);
    for (std::size_t i = 0; i < n; ++i)
      if (x[i] != sample_of(root, i)) return fmt::format("broadcast of {} from {}: at {}", n, root, i);
  }
  return {};
}

/// What a communicator has got wrong; empty where it does all that it should.
inline std::string wrong_exchange(nn::Communicator& comm) {
  for (const std::size_t n :
       {std::size_t{0}, std::size_t{1}, std::size_t{5}, std::size_t{1000}, std::size_t{70000}}) {
    for (const std::string& wrong : {wrong_sum<float>(comm, n), wrong_sum<double>(comm, n),
                                     wrong_sum<std::int64_t>(comm, n), wrong_blocks(comm, n)})
      if (!wrong.empty()) return wrong;
    comm.barrier();
  }
  return {};
}

}  // namespace tapegrad::test
