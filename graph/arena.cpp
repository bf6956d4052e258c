#include <algorithm>

#include <tapegrad/graph/arena.h>

namespace tapegrad::detail {

struct Arena::Chunk {
  Chunk* next;
  std::size_t capacity;
  std::byte* data() { return reinterpret_cast<std::byte*>(this + 1); }
};

namespace {
constexpr std::size_t kFirstChunk = std::size_t{1}
                                    << 14;  // a small network's step fits; growth doubles from here
constexpr std::size_t kLargestChunk = std::size_t{1} << 20;
}  // namespace

Arena::~Arena() {
  for (Chunk* c = first_; c;) {
    Chunk* next = c->next;
    pool_free(c);
    c = next;
  }
}

void Arena::enter(Chunk* chunk) {
  at_ = {chunk, chunk->data()};
  end_ = chunk->data() + chunk->capacity;
}

void* Arena::allocate_slow(std::size_t bytes, std::size_t align) {
  const std::size_t needed = bytes + align;
  Chunk** const link = at_.chunk ? &at_.chunk->next : &first_;
  // A chunk left over from before a rewind is taken up again where it is large enough.
  while (*link && (*link)->capacity < needed) {
    Chunk* const small = *link;
    *link = small->next;
    capacity_ -= small->capacity;
    pool_free(small);
  }
  if (!*link) {
    const std::size_t grown = at_.chunk ? std::min(2 * at_.chunk->capacity, kLargestChunk) : kFirstChunk;
    const std::size_t capacity = std::max(grown, needed);
    *link = new (pool_allocate(sizeof(Chunk) + capacity)) Chunk{nullptr, capacity};
    capacity_ += capacity;
  }
  enter(*link);
  std::byte* const start = aligned(at_.next, align);
  at_.next = start + bytes;
  return start;
}

void Arena::rewind(const Position& p) {
  if (p.chunk) {
    enter(p.chunk);
    at_.next = p.next;
  } else if (first_) {
    enter(first_);
  }
}

}  // namespace tapegrad::detail
