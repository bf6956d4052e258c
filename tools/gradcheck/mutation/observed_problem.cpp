#include <algorithm>
#include <functional>

#include <tapegrad/gradcheck/check/snapshot.h>
#include <tapegrad/gradcheck/mutation/observed_problem.h>
#include <tapegrad/graph/rule_probe.h>

namespace tapegrad::gradcheck::detail {

namespace {

/// Takes what the first rule of an op that a backward pass runs has to read: of the node that was recorded
/// last.
class SavedValues final : public tapegrad::detail::RuleHook {
 public:
  explicit SavedValues(const tapegrad::detail::OpTable* op) : op_(op) {}
  void run(tapegrad::detail::RuleProbe& probe) override {
    if (&probe.op() == op_ && saved.empty())
      for (const unsigned bit : probe.saved_bits()) saved.emplace(bit, probe.saved(bit).detach().copy());
    probe.run();
  }

  std::map<unsigned, Tensor> saved;

 private:
  const tapegrad::detail::OpTable* op_;
};

}  // namespace

std::vector<Tensor> ObservedProblem::evaluate(std::span<const Tensor> in) const {
  std::vector<Tensor> results = SampleProblem::evaluate(in);
  if (recording_saved_) return results;
  last_.clear();
  for (const Tensor& t : in) last_.push_back(t.detach().copy());  // the checker moves elements in place
  if (records_saved_) record_saved();
  return results;
}

// Not when a rule asks, since a rule that is recorded cannot open a tape.
void ObservedProblem::record_saved() const {
  struct Scope {
    explicit Scope(bool& flag) : inside(flag) { inside = true; }
    ~Scope() { inside = false; }
    bool& inside;
  };
  const Scope scope(recording_saved_);  // also where the rule throws
  const std::vector<std::size_t> track = grad_inputs();
  Recording recording(*this, last_, track);
  std::vector<Tensor> ones;
  for (const Tensor& r : recording.results()) ones.push_back(Tensor::ones(r.shape(), r.dtype()));
  SavedValues values(op_.table);
  recording.vjp(ones);
  saved_ = std::move(values.saved);
}

bool ObservedProblem::at_the_point() const {
  for (std::size_t i = 0; i < last_.size(); ++i)
    if (!same_bits(last_[i], converted(inputs()[i].value, last_[i].dtype()))) return false;
  return true;
}

bool ObservedProblem::has_ties() const {
  std::vector<Doubles> all;
  for (const Input& in : inputs())
    if (is_floating(in.value.dtype())) all.push_back(to_doubles(in.value));
  if (!op_.formula)
    return std::ranges::any_of(all, [](Doubles x) {
      std::ranges::sort(x);
      return std::ranges::adjacent_find(x) != x.end();
    });
  for (std::size_t i = 0; i < all.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (all[i].size() == all[j].size() &&
          std::ranges::mismatch(all[i], all[j], std::ranges::not_equal_to{}).in1 != all[i].end())
        return true;
  return false;
}

Tensor ObservedProblem::last_input(std::size_t i) const {
  std::size_t place = 0;
  for (std::size_t k = 0; k < i && k < sample_.inputs.size(); ++k)
    place += sample_.inputs[k].kind != SampleInput::Kind::absent;
  const bool given = i < sample_.inputs.size() && sample_.inputs[i].kind != SampleInput::Kind::absent;
  return given && place < last_.size() ? last_[place] : Tensor();
}

}  // namespace tapegrad::gradcheck::detail
