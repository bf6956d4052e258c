#include <memory>
#include <typeinfo>
#include <vector>

#include <tapegrad/graph/unlisted.h>
#include <tapegrad/nn/module.h>
#include <tapegrad/nn/visited.h>

#include <fmt/format.h>

/// Modules by their names, which are found when a scope is asked for them, and what is seen on the way: members that
/// are used and that no visit() names.
namespace tapegrad {

namespace nn {

namespace {

/// Looks for a module or a parameter among the members of a module, and below them where `deep`.
struct Finder final : Visitor {
  bool find_in(const NameScope& scope) {
    // As a rule it is a direct member; a module may also use one further down.
    for (const bool below : {false, true}) {
      deep = below;
      visited = {};
      static_cast<ModuleBase*>(const_cast<void*>(scope.subject()))->visit(*this);
      if (found) break;
    }
    return found;
  }

  void parameter(std::string_view, Parameter& p) override {
    found = found || (sought_parameter != 0 && p.defined() && p.id() == sought_parameter);
  }
  void module(std::string_view n, ModuleBase& m) override {
    if (found) return;
    if (&m == sought_module) {
      name += n;
      found = true;
    } else if (deep && visited.enter(m)) {
      const std::size_t before = name.size();
      name += n;
      name += '.';
      m.visit(*this);
      if (!found) name.resize(before);
    }
  }

  const ModuleBase* sought_module = nullptr;
  std::uint64_t sought_parameter = 0;
  detail::PoolString name;
  Visited visited;
  bool found = false;
  bool deep = false;
};

/// Of a module: the parameters that are to be trained, and whether there is anything else to save.
struct ToSave final : Visitor {
  explicit ToSave(ModuleBase& m) : training(m.training()) { module({}, m); }

  void parameter(std::string_view, Parameter& p) override {
    if (p.defined() && !p.frozen()) trained.push_back(p.id());
  }
  void buffer(std::string_view, Buffer&) override { changes = changes || training; }
  void generator(std::string_view, Generator&) override { changes = changes || training; }
  void module(std::string_view, ModuleBase& m) override {
    if (!visited.enter(m)) return;
    const bool outer = std::exchange(training, m.training());
    m.visit(*this);
    training = outer;
  }

  Visited visited;
  std::vector<std::uint64_t> trained;
  bool changes = false;  ///< forward changes a member, or takes random numbers from it
  bool training;
};

std::string text_of(const ModuleBase& user, std::string_view member) {
  return fmt::format(
      "{} uses {} that its visit() does not name, so that nothing trains, saves or checks it; name it there, "
      "as in v(\"name\", member), or freeze() what is not to be trained with it, or call it under Pause",
      detail::class_name(typeid(user)), member);
}

/// A parameter that is trained with the module of this scope, or with the nearest around it that has one; 0 for none.
std::uint64_t trained_within(const NameScope* scope) {
  for (; scope; scope = scope->around()) {
    const ToSave user(*static_cast<ModuleBase*>(const_cast<void*>(scope->subject())));
    if (!user.trained.empty()) return user.trained.front();
  }
  return 0;
}

}  // namespace

const NameScope::Kind ModuleBase::kScope{&ModuleBase::find_name, &ModuleBase::require_listed};

void ModuleBase::find_name(const NameScope& scope, detail::PoolString& name) {
  const NameScope* const nearest = scope.around();
  if (!nearest) return;
  Finder finder;
  finder.sought_module = static_cast<const ModuleBase*>(scope.subject());
  // A module that is shared may be called by one and named by another further out.
  for (const NameScope* around = nearest; around; around = around->around())
    if (finder.find_in(*around)) {
      name += finder.name;
      return;
    }
  const auto& user = *static_cast<const ModuleBase*>(nearest->subject());
  const ToSave unnamed(*const_cast<ModuleBase*>(finder.sought_module));
  if (unnamed.trained.empty() && !unnamed.changes)
    return;  // frozen, and in evaluation mode: to be left alone
  const std::string text =
      text_of(user, fmt::format("a module {}", detail::class_name(typeid(*finder.sought_module))));
  if (unnamed.trained.empty()) user.unlisted_.add_without_parameters(trained_within(nearest), text);
  for (const std::uint64_t parameter : unnamed.trained) user.unlisted_.add(parameter, text);
}

void ModuleBase::require_listed(const NameScope& scope, std::uint64_t parameter, const Shape& shape) {
  Finder finder;
  finder.sought_parameter = parameter;
  for (const NameScope* around = &scope; around; around = around->around())
    if (finder.find_in(*around)) return;
  const auto& user = *static_cast<const ModuleBase*>(scope.subject());
  user.unlisted_.add(parameter, text_of(user, fmt::format("a parameter of shape {}", to_string(shape))));
}

}  // namespace nn

void detail::UnlistedMembers::add(std::uint64_t parameter, std::uint64_t beside, const std::string& text) {
  for (const Note* note = first_; note; note = note->next)
    if (note->parameter == parameter && (parameter || note->text == text)) return;
  std::unique_ptr<Note> note(new Note{parameter, beside, text, first_.load()});
  if (parameter) note_unlisted(parameter, {text, false});
  if (beside) note_unlisted(beside, {text, true});
  while (!first_.compare_exchange_weak(note->next, note.get())) {
  }
  static_cast<void>(note.release());
}

void detail::UnlistedMembers::clear() noexcept {
  Note* note = first_.exchange(nullptr);
  while (note) {
    if (note->parameter) drop_unlisted(note->parameter);
    if (note->beside) drop_unlisted(note->beside);
    delete std::exchange(note, note->next);
  }
}

}  // namespace tapegrad
