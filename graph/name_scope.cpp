#include <tapegrad/graph/name_scope.h>
#include <tapegrad/graph/storage.h>

namespace tapegrad {

NameScope::NameScope(std::string_view name, const void* subject, const Kind* kind)
    : name_(name), subject_(subject), kind_(kind), outer_(nullptr) {
  if (detail::ThreadState* t = detail::this_thread()) {
    outer_ = t->scope;
    t->scope = this;
  }
}

NameScope::~NameScope() {
  if (detail::ThreadState* t = detail::current_thread) t->scope = outer_;
}

const NameScope* NameScope::around() const noexcept {
  const NameScope* scope = outer_;
  while (scope && scope->kind_ != kind_) scope = scope->outer_;
  return scope;
}

void NameScope::append_to(detail::PoolString& path) const {
  if (outer_) outer_->append_to(path);
  const std::size_t before = path.size();
  if (before) path += '.';
  const std::size_t start = path.size();
  path += name_;
  if (name_.empty() && kind_) kind_->find_name(*this, path);
  if (path.size() == start) path.resize(before);  // nameless
}

std::string NameScope::path() {
  detail::PoolString path;
  if (const detail::ThreadState* t = detail::current_thread; t && t->scope) t->scope->append_to(path);
  return std::string(path);
}

}  // namespace tapegrad
