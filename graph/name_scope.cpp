#include <tapegrad/graph/name_scope.h>
#include <tapegrad/graph/storage.h>

namespace tapegrad {

NameScope::NameScope(std::string_view name, const void* subject, FindName find)
    : name_(name), subject_(subject), find_(find), outer_(nullptr) {
  if (detail::ThreadState* t = detail::this_thread()) {
    outer_ = t->scope;
    t->scope = this;
  }
}

NameScope::~NameScope() {
  if (detail::ThreadState* t = detail::current_thread) t->scope = outer_;
}

void NameScope::append_to(detail::PoolString& path) const {
  if (outer_) outer_->append_to(path);
  const std::size_t before = path.size();
  if (before) path += '.';
  const std::size_t start = path.size();
  path += name_;
  if (name_.empty() && find_) {
    const NameScope* around = outer_;
    while (around && around->find_ != find_) around = around->outer_;
    find_(subject_, around ? around->subject_ : nullptr, path);
  }
  if (path.size() == start) path.resize(before);  // nameless
}

std::string NameScope::path() {
  detail::PoolString path;
  if (const detail::ThreadState* t = detail::current_thread; t && t->scope) t->scope->append_to(path);
  return std::string(path);
}

}  // namespace tapegrad
