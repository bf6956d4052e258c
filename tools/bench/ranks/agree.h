#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <tapegrad/nn/distributed/communicator.h>

namespace tapegrad::bench {

/// What rank 0 has decided. Collective.
inline std::int64_t of_root(nn::Communicator& communicator, std::int64_t number) {
  communicator.broadcast(std::as_writable_bytes(std::span(&number, 1)));
  return number;
}

}  // namespace tapegrad::bench
