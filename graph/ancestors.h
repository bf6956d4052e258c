#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/node.h>
#include <tapegrad/graph/storage.h>

/// Not part of the library's interface.
namespace tapegrad::detail {

/// Calls visit(node) for the nodes that lead to a node y, newest first: y, its inputs, theirs and so on, down to those
/// that are no newer than some oldest one, without leaves. What else was recorded in between is not looked at, so
/// that a pass over a tape that is never reset takes no longer than it would at its beginning.
///
/// As a rule these nodes lie close together, and walking from each to the one recorded before is the fastest way. Only
/// inputs that lie further back wait in a heap, until the walk has passed all that lie near. Where all lie near, a few
/// that do not lead to y may be visited, too.
template <class Visit>
class Ancestors {
 public:
  static void walk(Node* y, std::int64_t oldest, Visit visit) {
    if (y->index - oldest <= kNear) {  // so few that finding out takes longer
      for (Node* n = y; n && n->index > oldest; n = n->prev)
        if (!n->leaf) visit(*n);
      return;
    }
    if (y->leaf) return;
    Ancestors walk(y, oldest);
    for (Node* n = y; n; n = walk.next(n))
      if (n->listed) {
        n->listed = false;  // what it was an input of is newer, and done
        visit(*n);
        walk.list_inputs(*n);
      }
  }

 private:
  static constexpr std::uint32_t kNear = 32;

  Ancestors(Node* y, std::int64_t oldest) : oldest_(oldest), near_(y->index) { y->listed = true; }

  void list_inputs(Node& n) {
    const Edge* const end = n.edges() + n.inputs;
    for (const Edge* e = n.edges(); e != end; ++e) {
      Node* const from = e->node;
      if (!from || from->leaf || from->listed || from->index <= oldest_) continue;
      if (n.index - from->index <= kNear) [[likely]] {
        near_ = std::min(near_, from->index);
      } else {
        far_.push_back(from);
        std::push_heap(far_.begin(), far_.end(), older);
      }
      from->listed = true;
    }
  }

  Node* next(Node* n) {
    if (n->index > near_) [[likely]]
      return n->prev;
    while (!far_.empty()) {
      std::pop_heap(far_.begin(), far_.end(), older);
      Node* const from = far_.back();
      far_.pop_back();
      if (from->index >= n->index) continue;  // the walk has come by
      near_ = from->index;
      return from;
    }
    return nullptr;
  }
  static bool older(const Node* a, const Node* b) { return a->index < b->index; }

  std::int64_t oldest_;
  std::uint32_t near_;  ///< the oldest that the walk has yet to reach
  std::vector<Node*, PoolAllocator<Node*>> far_;
};

}  // namespace tapegrad::detail
