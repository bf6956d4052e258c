#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <string_view>
#include <typeinfo>
#include <unordered_map>
#include <unordered_set>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/foreign.h>
#include <tapegrad/nn/visitor.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/tensor/shape.h>

#include <fmt/format.h>

namespace tapegrad::nn {

namespace {

Tensor same(const Tensor& t) { return t.copy(); }
Tensor transposed(const Tensor& t) { return t.rank() == 2 ? transpose(t.detach()) : t.copy(); }

/// What tells members apart: parameters by their number, buffers by where they are.
using Identity = std::pair<bool, std::uint64_t>;

/// A value of the module, or one that only the other library has.
struct Entry {
  std::string own;      ///< path in the module's state; empty where the module has no such value
  std::string foreign;  ///< path there
  ForeignLayout layout;
  Tensor value{};       ///< the module's, or what is exported in its place
  Identity identity{};  ///< of the module's; shared ones have several entries
};

/// All values that visit reaches, by every path: PyTorch lists what is shared under each of its names.
class Entries final : public Visitor {
 public:
  Entries(const ModuleBase& m, const ForeignRules& rules) : rules_(rules) {
    // visit is not const, as it hands out members to change, but changes nothing itself.
    walk({}, const_cast<ModuleBase&>(m));
    std::unordered_set<std::string_view> names;
    for (const Entry& e : list)
      if (!names.insert(e.foreign).second)
        throw ArgumentError(
            fmt::format("foreign names: the rules give two values of the module the name '{}'", e.foreign));
  }

  std::vector<Entry> list;

 private:
  void walk(std::string_view name, ModuleBase& m) {
    if (std::ranges::find(open_, &m) != open_.end()) return;  // a module within itself
    const std::size_t before = prefix_.size();
    if (!name.empty()) (prefix_ += name) += '.';
    open_.push_back(&m);
    m.visit(*this);
    const std::string layer = tapegrad::detail::class_name(typeid(m));
    for (const ForeignRow& row : rules_.rows)
      if (row.layer == layer && row.own.empty())
        list.push_back({"", foreign_path(row.foreign), row.layout, row.exported});
    open_.pop_back();
    prefix_.resize(before);
  }

  void value(std::string_view name, const Tensor& t, const Identity& identity) {
    const ModuleBase& owner = *open_.back();
    const std::string layer = tapegrad::detail::class_name(typeid(owner));
    const auto row = std::ranges::find_if(rules_.rows, [&](const ForeignRow& r) {
      return r.layer == layer && !r.own.empty() && r.own == name;
    });
    const std::string own = prefix_ + std::string(name);
    if (row == rules_.rows.end())
      list.push_back({own, foreign_path(name), kSameLayout, t.detach(), identity});
    else if (!row->foreign.empty())
      list.push_back({own, foreign_path(row->foreign), row->layout, t.detach(), identity});
  }

  /// The path of a value of the module that is open, which has this name there.
  std::string foreign_path(std::string_view name) const {
    const std::string path = prefix_ + std::string(name);
    const std::pair<std::string, std::string>* longest = nullptr;
    for (const auto& entry : rules_.renamed) {
      const std::string& own = entry.first;
      const bool fits = own.empty() || path == own || path.starts_with(own + '.');
      if (fits && (!longest || own.size() > longest->first.size())) longest = &entry;
    }
    if (!longest) return rules_.prefix + path;
    const auto& [own, there] = *longest;
    std::string rest = own.empty() ? path : path.substr(std::min(path.size(), own.size() + 1));
    return rules_.prefix + there + (there.empty() || rest.empty() ? "" : ".") + rest;
  }

  void parameter(std::string_view name, Parameter& p) override {
    if (p.defined()) value(name, p.data(), {true, p.id()});
  }
  void buffer(std::string_view name, Buffer& b) override {
    if (b.defined()) value(name, b, {false, reinterpret_cast<std::uintptr_t>(&b)});
  }
  void module(std::string_view name, ModuleBase& m) override { walk(name, m); }

  const ForeignRules& rules_;
  std::string prefix_;
  std::vector<const ModuleBase*> open_;
};

bool same_bits(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) return false;
  return visit_dtype(a.dtype(), [&]<class T> {
    const auto x = a.values<T>();
    return x.empty() || std::memcmp(x.data(), b.values<T>().data(), x.size_bytes()) == 0;
  });
}

std::string kind_of(const Tensor& t) {
  return fmt::format("{} of {}", to_string(t.shape()), name_of(t.dtype()));
}

/// Values that no row, no prefix and no name of the module accounts for, and what is wrong with others.
struct Findings {
  std::vector<std::string> missing;
  std::vector<std::string> unexpected;
  std::vector<std::string> misfits;

  /// What stands in front of each name that is missing, such as "model."; nothing where there is no such text.
  std::string common_prefix() const {
    if (missing.empty()) return {};
    const std::unordered_set<std::string_view> names(unexpected.begin(), unexpected.end());
    for (const std::string& name : unexpected) {
      if (!name.ends_with(missing[0])) continue;
      const std::string prefix = name.substr(0, name.size() - missing[0].size());
      if (prefix.ends_with('.') &&
          std::ranges::all_of(missing, [&](const std::string& m) { return names.contains(prefix + m); }))
        return prefix;
    }
    return {};
  }

  void throw_if_any(bool all_missing) const {
    std::string text;
    const auto add = [&](const char* what, const std::vector<std::string>& list, const char* separator) {
      if (!list.empty())
        text += fmt::format("{}{}{}", text.empty() ? "" : "; ", what, fmt::join(list, separator));
    };
    add("missing: ", missing, ", ");
    add("unexpected: ", unexpected, ", ");
    add("", misfits, "; ");
    if (const std::string prefix = all_missing ? common_prefix() : ""; !prefix.empty())
      text += fmt::format(
          ". All that is missing is there with '{}' in front: give that as the prefix of the rules", prefix);
    if (!text.empty())
      throw ArgumentError(fmt::format("load_foreign: the state is not that of the module: {}", text));
  }
};

/// What a value of the module is to become, or an undefined tensor where the one that is given does not fit.
Tensor fitting(const Entry& e, const Tensor& given, Findings& findings) {
  Tensor value = e.layout.from_foreign(given);
  if (value.dtype() == f32 && e.value.dtype() == f64) value = cast(value, f64);  // which loses nothing
  if (value.shape() == e.value.shape() && value.dtype() == e.value.dtype()) return value;
  const bool laid_out_as_here = value.shape() != e.value.shape() && given.shape() == e.value.shape();
  std::string advice;
  if (laid_out_as_here)
    advice = " (it is laid out as in this library, whose states load_state takes)";
  else if (value.shape() == e.value.shape())
    advice = fmt::format(" (nothing is rounded here: cast(tensor, {}) does so)", name_of(e.value.dtype()));
  findings.misfits.push_back(fmt::format("'{}' is {}, expected is {}{}", e.foreign, kind_of(given),
                                         kind_of(e.layout.to_foreign(e.value)), advice));
  return {};
}

}  // namespace

constinit const ForeignLayout kSameLayout{&same, &same};
constinit const ForeignLayout kTransposedLayout{&transposed, &transposed};

ForeignRules pytorch_rules() {
  return {.rows = {
              {"tapegrad::nn::Affine", "weight", "weight", kTransposedLayout},
              {"tapegrad::nn::Affine", "bias", "bias"},
              {"tapegrad::nn::Conv1d", "weight", "weight"},
              {"tapegrad::nn::Conv1d", "bias", "bias"},
              {"tapegrad::nn::Conv2d", "weight", "weight"},
              {"tapegrad::nn::Conv2d", "bias", "bias"},
              {"tapegrad::nn::ConvTranspose2d", "weight", "weight"},
              {"tapegrad::nn::ConvTranspose2d", "bias", "bias"},
              {"tapegrad::nn::Prelu", "slope", "weight"},
              {"tapegrad::nn::BatchNorm", "gamma", "weight"},
              {"tapegrad::nn::BatchNorm", "beta", "bias"},
              {"tapegrad::nn::BatchNorm", "running_mean", "running_mean"},
              {"tapegrad::nn::BatchNorm", "running_var", "running_var"},
              {"tapegrad::nn::BatchNorm", "", "num_batches_tracked", kSameLayout, Tensor::scalar(0, i64)},
          }};
}

std::vector<ConvertedTensor> load_foreign(ModuleBase& module, const State& state, const ForeignRules& rules) {
  std::unordered_map<std::string_view, const Tensor*> given;
  for (const auto& [name, tensor] : state) {
    if (!name.starts_with(rules.prefix)) continue;
    if (!tensor.defined())
      throw ArgumentError(fmt::format("load_foreign: '{}' is an undefined tensor", name));
    if (!given.emplace(name, &tensor).second)
      throw ArgumentError(fmt::format("load_foreign: '{}' is given twice", name));
  }
  const Entries entries(module, rules);
  State fitted = module.state();
  std::unordered_map<std::string, std::size_t> position;
  for (std::size_t i = 0; i < fitted.size(); ++i) position.emplace(fitted[i].first, i);

  // Of what has several paths the state has the first, and any of the names there may give it.
  Findings findings;
  std::map<Identity, const Entry*> first_entry;
  std::map<Identity, std::string> given_as;
  std::vector<ConvertedTensor> converted;
  for (const Entry& e : entries.list) {
    if (!e.own.empty()) first_entry.emplace(e.identity, &e);
    const auto found = given.find(e.foreign);
    if (found == given.end()) continue;
    const Tensor& tensor = *found->second;
    given.erase(found);
    if (e.own.empty()) continue;
    const Tensor value = fitting(e, tensor, findings);
    const auto [before, is_first] = given_as.emplace(e.identity, e.foreign);
    if (!value.defined()) continue;
    if (value.dtype() != tensor.dtype())
      converted.push_back({e.foreign, std::string(name_of(tensor.dtype())), value.dtype()});
    Tensor& target = fitted[position.at(first_entry.at(e.identity)->own)].second;
    if (is_first)
      target = value;
    else if (!same_bits(target, value))
      findings.misfits.push_back(fmt::format("'{}' is not equal to '{}', with which the module shares it",
                                             e.foreign, before->second));
  }
  for (const Entry& e : entries.list)
    if (!e.own.empty() && first_entry.at(e.identity) == &e && !given_as.contains(e.identity))
      findings.missing.push_back(e.foreign);
  for (const auto& [name, tensor] : state)
    if (given.contains(name)) findings.unexpected.push_back(name);
  findings.throw_if_any(given_as.empty());
  module.load_state(fitted);
  return converted;
}

State export_foreign(const ModuleBase& module, const ForeignRules& rules) {
  State state;
  for (const Entry& e : Entries(module, rules).list)
    if (e.value.defined()) state.emplace_back(e.foreign, e.layout.to_foreign(e.value));
  return state;
}

State export_pytorch(const ModuleBase& module) { return export_foreign(module, pytorch_rules()); }

}  // namespace tapegrad::nn
