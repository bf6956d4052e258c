#include <span>
#include <vector>

#include <tapegrad/ops/op_list.h>

namespace tapegrad {

// Tensor ops are known here by their names alone.
namespace op {
#define TAPEGRAD_ROW(Op) struct Op;
TAPEGRAD_TENSOR_OPS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW
}  // namespace op

namespace {

template <class... Ops>
void append(TypeList<Ops...>, std::vector<const OpInfo*>& all) {
  (all.push_back(&detail::info_of<Ops>()), ...);
}

}  // namespace

std::span<const OpInfo* const> library_ops() {
  static const std::vector<const OpInfo*> kAll = [] {
    std::vector<const OpInfo*> all;
    append(ElementwiseOps{}, all);
#define TAPEGRAD_ROW(Op) all.push_back(&detail::info_of<op::Op>());
    TAPEGRAD_TENSOR_OPS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW
    return all;
  }();
  return kAll;
}

}  // namespace tapegrad
