#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/layer.h>
#include <tapegrad/nn/loadable_state.h>
#include <tapegrad/nn/module.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/optim/state.h>

#include <cxxabi.h>
#include <fmt/format.h>

namespace tapegrad {

std::string detail::class_name(const std::type_info& type) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(
      abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), std::free);
  return name ? name.get() : type.name();
}

}  // namespace tapegrad

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

std::string class_of(const ModuleBase& m) { return tapegrad::detail::class_name(typeid(m)); }

/// All that visit reaches, in the order of visiting. A module reached twice counts once.
struct Members final : Visitor {
  using Member = std::variant<Parameter*, Buffer*, Generator*>;

  std::vector<std::pair<std::string, Member>> values;
  std::vector<std::pair<std::string, ModuleBase*>> modules;
  std::vector<std::size_t> owners;   ///< of each value, the module that names it
  std::vector<std::size_t> parents;  ///< of each module; its own, of the outermost one

  // visit is not const, as it hands out members to change, but changes nothing itself.
  explicit Members(const ModuleBase& m) {
    walk({}, const_cast<ModuleBase&>(m));
    require_different_names();
  }

 private:
  void walk(std::string_view name, ModuleBase& m) {
    if (!seen_.insert(&m).second) return;
    parents.push_back(modules.empty() ? 0 : at_);
    const std::size_t around = std::exchange(at_, modules.size());
    modules.emplace_back(path(name), &m);
    const std::size_t before = prefix_.size();
    if (!name.empty()) (prefix_ += name) += '.';
    m.visit(*this);
    prefix_.resize(before);
    at_ = around;
  }
  std::string path(std::string_view name) const {
    std::string p;
    p.reserve(prefix_.size() + name.size());
    return (p += prefix_) += name;
  }
  // By their hashes, since names may be many and are seldom the same.
  void require_different_names() const {
    std::vector<std::pair<std::size_t, std::size_t>> hashes;
    hashes.reserve(values.size());
    for (const auto& [name, member] : values)
      hashes.emplace_back(std::hash<std::string_view>()(name), hashes.size());
    std::ranges::sort(hashes);
    for (auto a = hashes.begin(); a != hashes.end(); ++a)
      for (auto b = a + 1; b != hashes.end() && b->first == a->first; ++b)
        if (const std::string& name = values[a->second].first; name == values[b->second].first)
          throw ArgumentError(fmt::format("{}: visit names two members '{}'; each needs a name of its own",
                                          class_of(*modules.front().second), name));
  }

  void parameter(std::string_view name, Parameter& p) override { add(name, &p); }
  void buffer(std::string_view name, Buffer& b) override { add(name, &b); }
  void generator(std::string_view name, Generator& g) override { add(name, &g); }
  void add(std::string_view name, Member member) {
    values.emplace_back(path(name), member);
    owners.push_back(at_);
  }
  void module(std::string_view name, ModuleBase& m) override { walk(name, m); }

  std::string prefix_;
  std::size_t at_ = 0;  ///< the module that is visited
  std::unordered_set<const ModuleBase*> seen_;
};

/// Calls f(i) for the values that a state holds: a shared parameter once, and nothing undefined, such as the bias of a
/// layer without one.
template <class F>
void for_each_index(const Members& members, F&& f) {
  std::unordered_set<std::uint64_t> seen;
  for (std::size_t i = 0; i < members.values.size(); ++i) {
    const Members::Member& member = members.values[i].second;
    if (const auto* p = std::get_if<Parameter*>(&member))
      if (!(*p)->defined() || !seen.insert((*p)->id()).second) continue;
    if (const auto* b = std::get_if<Buffer*>(&member))
      if (!(*b)->defined()) continue;
    f(i);
  }
}
/// The same with f(name, member).
template <class F>
void for_each_value(const Members& members, F&& f) {
  for_each_index(members, [&](std::size_t i) { f(members.values[i].first, members.values[i].second); });
}

/// The decay that the innermost module around a parameter sets for it.
std::optional<double> decay_of(const Members& members, std::size_t value) {
  const std::string& path = members.values[value].first;
  for (std::size_t m = members.owners[value];; m = members.parents[m]) {
    const auto& [name, module] = members.modules[m];
    const std::optional<double> decay =
        module->weight_decay(std::string_view(path).substr(name.empty() ? 0 : name.size() + 1));
    if (decay && !(*decay >= 0 && std::isfinite(*decay)))
      throw ArgumentError(fmt::format("{}: weight_decay of '{}' is {}; it must be at least 0 and finite",
                                      class_of(*module), path, *decay));
    if (decay || m == 0) return decay;
  }
}

/// A generator in a state: seed, stream and position, with the bits of the unsigned numbers that they are.
Tensor tensor_of(const Generator::State& s) {
  std::vector<std::int64_t> words;
  for (const std::uint64_t word : {s.seed, s.stream, s.position})
    words.push_back(std::bit_cast<std::int64_t>(word));
  return Tensor::from(words);
}
Generator generator_of(const Tensor& t) {
  const auto word = [v = t.values<std::int64_t>()](std::size_t i) {
    return std::bit_cast<std::uint64_t>(v[i]);
  };
  return Generator(Generator::State{word(0), word(1), word(2)});
}

/// What a state holds of a member; it may share the member's elements.
Tensor tensor_of(const Members::Member& member) {
  if (const auto* p = std::get_if<Parameter*>(&member)) return (*p)->data();
  if (const auto* b = std::get_if<Buffer*>(&member)) return **b;
  return tensor_of(std::get<Generator*>(member)->state());
}

}  // namespace

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
  for_each_value(Members(*this), [&](const std::string& name, const Members::Member& member) {
    if (const auto* p = std::get_if<Parameter*>(&member)) list.emplace_back(name, **p);
  });
  return list;
}

std::optional<double> ModuleBase::weight_decay(std::string_view) const { return {}; }

std::vector<std::optional<double>> ModuleBase::weight_decays() const {
  std::vector<std::optional<double>> decays;
  const Members members(*this);
  for_each_index(members, [&](std::size_t i) {
    if (std::holds_alternative<Parameter*>(members.values[i].second)) decays.push_back(decay_of(members, i));
  });
  return decays;
}

optim::ParameterGroups ModuleBase::groups() const { return *this; }

std::vector<std::pair<std::string, Tensor>> ModuleBase::buffers() const {
  std::vector<std::pair<std::string, Tensor>> list;
  for_each_value(Members(*this), [&](const std::string& name, const Members::Member& member) {
    if (const auto* b = std::get_if<Buffer*>(&member)) list.emplace_back(name, **b);
  });
  return list;
}

std::vector<std::pair<std::string, ModuleBase*>> ModuleBase::modules() { return Members(*this).modules; }

std::int64_t ModuleBase::parameter_count() const {
  std::int64_t count = 0;
  for (const auto& [name, parameter] : parameters()) count += parameter.size();
  return count;
}

void ModuleBase::train(bool on) {
  for (const auto& [name, module] : Members(*this).modules) module->training_ = on;
}

EvaluationMode::EvaluationMode(ModuleBase& module) {
  const Members members(module);
  modes_.reserve(members.modules.size());
  for (const auto& [name, m] : members.modules) modes_.emplace_back(m, std::exchange(m->training_, false));
}

EvaluationMode::~EvaluationMode() {
  for (const auto& [m, training] : modes_) m->training_ = training;
}

void ModuleBase::freeze(bool frozen) {
  for (auto& [name, parameter] : parameters()) parameter.freeze(frozen);
}

namespace {

/// A state, or a copy, without a member that the module is known to use would be incomplete without a word.
void require_all_listed(std::string_view what, const Members& members) {
  for (const auto& [path, module] : members.modules)
    for (const auto* note = module->unlisted().first(); note; note = note->next) {
      const auto is_its = [&](const auto& value) {
        const auto* p = std::get_if<Parameter*>(&value.second);
        return p && (*p)->defined() && (*p)->id() == note->parameter;
      };
      if (std::ranges::none_of(members.values, is_its))
        throw Error(
            fmt::format("{}: {}{}", what, path.empty() ? "" : fmt::format("in '{}': ", path), note->text));
    }
}

}  // namespace

State ModuleBase::state() const {
  State state;
  const Members members(*this);
  require_all_listed("state", members);
  for_each_value(members, [&](const std::string& name, const Members::Member& member) {
    state.emplace_back(name, tensor_of(member).copy());
  });
  return state;
}

namespace {

/// What is given of f32 for a buffer of f64, which holds it exactly, becomes f64.
void widen(Tensor& given, const Tensor& buffer) {
  if (given.defined() && buffer.defined() && given.dtype() == f32 && buffer.dtype() == f64)
    given = cast(given.detach(), f64);
}

}  // namespace

LoadableState::LoadableState(ModuleBase& module, const State& state, LoadOptions options) {
  std::unordered_map<std::string_view, std::size_t> given;
  for (std::size_t i = 0; i < state.size(); ++i) given.emplace(state[i].first, i);
  State own, fitting = state;
  const Members members(module);
  require_all_listed("load_state", members);
  for_each_value(members, [&](const std::string& name, const Members::Member& member) {
    if (std::holds_alternative<Generator*>(member) && !given.contains(name)) return;
    own.emplace_back(name, tensor_of(member));
    members_.push_back(member);
    if (const auto at = given.find(name); at != given.end() && std::holds_alternative<Buffer*>(member))
      widen(fitting[at->second].second, own.back().second);
  });
  if (options.strict) {
    values_ = optim::match_state("load_state", own, fitting);
  } else {
    optim::StateMatch match = optim::match_partly("load_state", own, fitting);
    values_ = std::move(match.tensors);
    result_ = {std::move(match.missing), std::move(match.unexpected), std::move(match.misfits)};
  }
  for (std::size_t i = 0; i < values_.size(); ++i)
    if (std::holds_alternative<Buffer*>(members_[i]) && values_[i].defined()) values_[i] = values_[i].copy();
}

void LoadableState::load() noexcept {
  for (std::size_t i = 0; i < values_.size(); ++i) {
    if (!values_[i].defined()) continue;
    if (const auto* p = std::get_if<Parameter*>(&members_[i]))
      (*p)->assign(values_[i]);
    else if (const auto* b = std::get_if<Buffer*>(&members_[i]))
      **b = values_[i];
    else
      *std::get<Generator*>(members_[i]) = generator_of(values_[i]);
  }
}

LoadResult ModuleBase::load_state(const State& state, LoadOptions options) {
  LoadableState loadable(*this, state, options);
  loadable.load();
  return loadable.take_result();
}

// ---- clone ----

namespace {

void require_same(const ModuleBase& m, bool same) {
  if (!same)
    throw Error(
        fmt::format("clone: new_like() of {} gave a module with other members than its own", class_of(m)));
}

}  // namespace

std::unique_ptr<ModuleBase> ModuleBase::clone() const {
  std::unique_ptr<ModuleBase> copy = new_like();
  if (!copy) detail::throw_other_class(*this, nullptr);
  const Members from(*this);
  const Members to(*copy);
  require_all_listed("clone", from);
  const auto same_name = [](const auto& a, const auto& b) { return a.first == b.first; };
  require_same(*this, std::ranges::equal(from.modules, to.modules, same_name));
  for (std::size_t i = 0; i < from.modules.size(); ++i) {
    const ModuleBase& original = *from.modules[i].second;
    const ModuleBase& twin = *to.modules[i].second;
    if (typeid(original) != typeid(twin)) detail::throw_other_class(original, &twin);
  }
  require_same(*this, std::ranges::equal(from.values, to.values, [](const auto& a, const auto& b) {
    return a.first == b.first && a.second.index() == b.second.index();
  }));

  std::unordered_map<std::uint64_t, Parameter> copies;
  const auto copy_of = [&](const Parameter& p) {
    if (!p.defined()) return Parameter();
    const auto [known, first] = copies.try_emplace(p.id());
    if (first) known->second = p.clone();
    return known->second;
  };
  for (std::size_t i = 0; i < from.values.size(); ++i)
    std::visit(
        [&]<class T>(const T* original) {
          T& twin = *std::get<T*>(to.values[i].second);
          if constexpr (std::is_same_v<T, Parameter>)
            twin = copy_of(*original);
          else if constexpr (std::is_same_v<T, Buffer>)
            twin = original->defined() ? original->copy() : Buffer();
          else
            twin = *original;
        },
        from.values[i].second);
  for (std::size_t i = 0; i < from.modules.size(); ++i)
    to.modules[i].second->training_ = from.modules[i].second->training_;
  return copy;
}

}  // namespace tapegrad::nn

void tapegrad::detail::throw_other_class(const nn::ModuleBase& module, const nn::ModuleBase* made) {
  throw Error(fmt::format("clone: new_like() of {} gave {}; override it in that class too",
                          nn::class_of(module), made ? nn::class_of(*made) : "nothing"));
}
