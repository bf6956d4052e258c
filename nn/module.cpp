#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <typeinfo>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/layer.h>
#include <tapegrad/nn/module.h>
#include <tapegrad/optim/state.h>

#include <cxxabi.h>
#include <fmt/format.h>

namespace tapegrad::nn {

Visitor::~Visitor() = default;
void Visitor::parameter(std::string_view, Parameter&) {}
void Visitor::buffer(std::string_view, Buffer&) {}
void Visitor::generator(std::string_view, Generator&) {}
void Visitor::module(std::string_view, ModuleBase&) {}
TensorVisitor::~TensorVisitor() = default;

detail::PoolString Visitor::indexed(std::string_view name, std::size_t index) {
  detail::PoolString text(name);
  fmt::format_to(std::back_inserter(text), ".{}", index);
  return text;
}

namespace {

std::string class_of(const ModuleBase& m) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(
      abi::__cxa_demangle(typeid(m).name(), nullptr, nullptr, &status), std::free);
  return name ? name.get() : typeid(m).name();
}

/// All that visit reaches, parameters and buffers in the order of visiting. A module reached twice counts
/// once.
struct Members final : Visitor {
  template <class T>
  using Named = std::vector<std::pair<std::string, T*>>;

  Named<Parameter> parameters;
  Named<Buffer> buffers;
  Named<Generator> generators;
  Named<ModuleBase> modules;
  /// What state() holds, in order: an index into buffers, or into parameters.
  struct Entry {
    bool is_buffer;
    std::size_t index;
  };
  std::vector<Entry> entries;

  // visit is not const, as it hands out members to change, but changes nothing itself.
  explicit Members(const ModuleBase& m) { walk({}, const_cast<ModuleBase&>(m)); }

 private:
  void walk(std::string_view name, ModuleBase& m) {
    if (!seen_.insert(&m).second) return;
    modules.emplace_back(path(name), &m);
    const std::string before = prefix_;
    if (!name.empty()) prefix_ = path(name) + '.';
    m.visit(*this);
    prefix_ = before;
  }
  std::string path(std::string_view name) const { return prefix_ + std::string(name); }
  std::string unique_path(std::string_view name) {
    std::string p = path(name);
    if (!names_.insert(p).second)
      throw ArgumentError(fmt::format("{}: visit names two members '{}'; each needs a name of its own",
                                      class_of(*modules.front().second), p));
    return p;
  }

  void parameter(std::string_view name, Parameter& p) override {
    entries.push_back({false, parameters.size()});
    parameters.emplace_back(unique_path(name), &p);
  }
  void buffer(std::string_view name, Buffer& b) override {
    entries.push_back({true, buffers.size()});
    buffers.emplace_back(unique_path(name), &b);
  }
  void generator(std::string_view name, Generator& g) override {
    generators.emplace_back(unique_path(name), &g);
  }
  void module(std::string_view name, ModuleBase& m) override { walk(name, m); }

  std::string prefix_;
  std::set<const ModuleBase*> seen_;
  std::set<std::string> names_;
};

/// Calls f(name, tensor, parameter or null, buffer or null) for what a state holds: a shared parameter once,
/// and nothing undefined, such as the bias of a layer without one.
template <class F>
void for_each_value(const Members& members, F&& f) {
  std::set<std::uint64_t> seen;
  for (const Members::Entry& e : members.entries) {
    if (e.is_buffer) {
      const auto& [name, buffer] = members.buffers[e.index];
      if (buffer->defined()) f(name, *buffer, static_cast<Parameter*>(nullptr), buffer);
    } else {
      const auto& [name, parameter] = members.parameters[e.index];
      if (parameter->defined() && seen.insert(parameter->id()).second)
        f(name, parameter->data(), parameter, static_cast<Buffer*>(nullptr));
    }
  }
}

}  // namespace

// ---- names, found when they are asked for ----

namespace {

/// Looks for a module among the members of another, and below them where `deep`.
struct NameFinder final : Visitor {
  NameFinder(const ModuleBase* sought, detail::PoolString& out, bool search_below)
      : target(sought), name(out), deep(search_below) {}

  void module(std::string_view n, ModuleBase& m) override {
    if (found) return;
    if (&m == target) {
      name += n;
      found = true;
    } else if (deep) {
      const std::size_t before = name.size();
      name += n;
      name += '.';
      m.visit(*this);
      if (!found) name.resize(before);
    }
  }

  const ModuleBase* target;
  detail::PoolString& name;
  bool deep;
  bool found = false;
};

}  // namespace

void ModuleBase::find_name(const void* module, const void* outer, detail::PoolString& name) {
  if (!outer) return;
  // As a rule it is a direct member; a parent may also call one further down.
  for (const bool deep : {false, true}) {
    NameFinder finder(static_cast<const ModuleBase*>(module), name, deep);
    const_cast<ModuleBase*>(static_cast<const ModuleBase*>(outer))->visit(finder);
    if (finder.found) return;
  }
}

// ---- ModuleBase ----

template class Layer<Tensor(const Tensor&)>;

ModuleBase::~ModuleBase() = default;

void ModuleBase::visit(Visitor&) {}

std::unique_ptr<ModuleBase> ModuleBase::new_like() const {
  throw Error(
      fmt::format("clone: {} cannot be cloned; override new_like() to return a new {} of the same structure",
                  class_of(*this), class_of(*this)));
}

std::vector<std::pair<std::string, Parameter>> ModuleBase::parameters() const {
  std::vector<std::pair<std::string, Parameter>> list;
  for_each_value(Members(*this), [&](const std::string& name, const Tensor&, Parameter* p, Buffer*) {
    if (p) list.emplace_back(name, *p);
  });
  return list;
}

std::vector<std::pair<std::string, Tensor>> ModuleBase::buffers() const {
  std::vector<std::pair<std::string, Tensor>> list;
  for_each_value(Members(*this), [&](const std::string& name, const Tensor& value, Parameter*, Buffer* b) {
    if (b) list.emplace_back(name, value);
  });
  return list;
}

std::int64_t ModuleBase::parameter_count() const {
  std::int64_t count = 0;
  for (const auto& [name, parameter] : parameters()) count += parameter.size();
  return count;
}

void ModuleBase::train(bool on) {
  for (const auto& [name, module] : Members(*this).modules) module->training_ = on;
}

void ModuleBase::freeze(bool frozen) {
  for (auto& [name, parameter] : parameters()) parameter.freeze(frozen);
}

State ModuleBase::state() const {
  State state;
  for_each_value(Members(*this), [&](const std::string& name, const Tensor& value, Parameter*, Buffer*) {
    state.emplace_back(name, value.copy());
  });
  return state;
}

void ModuleBase::load_state(const State& state) {
  State own;
  std::vector<std::pair<Parameter*, Buffer*>> members;
  for_each_value(Members(*this), [&](const std::string& name, const Tensor& value, Parameter* p, Buffer* b) {
    own.emplace_back(name, value);
    members.emplace_back(p, b);
  });
  std::vector<Tensor> values = optim::match_state("load_state", own, state);
  for (std::size_t i = 0; i < values.size(); ++i)
    if (members[i].second) values[i] = values[i].copy();  // before anything is changed
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (auto [parameter, buffer] = members[i]; parameter)
      parameter->assign(values[i]);
    else
      *buffer = values[i];
  }
}

// ---- clone ----

namespace {

template <class T>
void require_same_names(const ModuleBase& m, const Members::Named<T>& from, const Members::Named<T>& to) {
  const auto same = [](const auto& a, const auto& b) { return a.first == b.first; };
  if (!std::equal(from.begin(), from.end(), to.begin(), to.end(), same))
    throw Error(
        fmt::format("clone: new_like() of {} gave a module with other members than its own", class_of(m)));
}

}  // namespace

std::unique_ptr<ModuleBase> ModuleBase::clone() const {
  std::unique_ptr<ModuleBase> copy = new_like();
  if (!copy) detail::throw_other_class(*this, nullptr);
  const Members from(*this);
  const Members to(*copy);
  require_same_names(*this, from.modules, to.modules);
  for (std::size_t i = 0; i < from.modules.size(); ++i) {
    const ModuleBase& original = *from.modules[i].second;
    const ModuleBase& twin = *to.modules[i].second;
    if (typeid(original) != typeid(twin)) detail::throw_other_class(original, &twin);
  }
  require_same_names(*this, from.parameters, to.parameters);
  require_same_names(*this, from.buffers, to.buffers);
  require_same_names(*this, from.generators, to.generators);

  std::map<std::uint64_t, Parameter> copies;
  for (std::size_t i = 0; i < from.parameters.size(); ++i) {
    const Parameter& p = *from.parameters[i].second;
    if (!p.defined()) {
      *to.parameters[i].second = Parameter();
      continue;
    }
    const auto [known, first] = copies.try_emplace(p.id());
    if (first) known->second = p.clone();
    *to.parameters[i].second = known->second;
  }
  for (std::size_t i = 0; i < from.buffers.size(); ++i)
    *to.buffers[i].second = from.buffers[i].second->copy();
  for (std::size_t i = 0; i < from.generators.size(); ++i)
    *to.generators[i].second = *from.generators[i].second;
  for (std::size_t i = 0; i < from.modules.size(); ++i)
    to.modules[i].second->training_ = from.modules[i].second->training_;
  return copy;
}

}  // namespace tapegrad::nn

void tapegrad::detail::throw_other_class(const nn::ModuleBase& module, const nn::ModuleBase* made) {
  throw Error(fmt::format("clone: new_like() of {} gave {}; override it in that class too",
                          nn::class_of(module), made ? nn::class_of(*made) : "nothing"));
}
