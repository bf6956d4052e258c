#include <tapegrad/gradcheck/report/json.h>
#include <tapegrad/gradcheck/report/mutation_table.h>
#include <tapegrad/gradcheck/report/results.h>

#include <fmt/format.h>

// Every field is described in self_test.schema.json.
namespace tapegrad::gradcheck::detail {

std::string json_text(const CommandOptions& o, const MutationResults& r) {
  using Status = MutationResult::Status;
  Json subjects = Json::array();
  for (const MutationResults::Subject& s : r.subjects) {
    Json mutations = Json::array();
    for (const MutationResult& m : s.mutations)
      mutations.push_back(
          {{"mutation", m.mutation}, {"status", name_of(m.status)}, {"explanation", m.explanation}});
    subjects.push_back({{"name", s.name}, {"mutations", std::move(mutations)}});
  }
  Json unmatched = Json::array();
  for (const EquivalentMutation& e : r.unmatched)
    unmatched.push_back({{"op", e.op}, {"mutation", e.mutation}, {"reason", e.reason}});
  Json summary{{"selected", r.selected}, {"checked", r.subjects.size()}, {"stopped", r.stopped}};
  std::size_t all = 0;
  for (const Status status : kStatuses) all += r.count(status);
  summary.update({{"mutations", all},
                  {"killed", r.count(Status::killed)},
                  {"equivalent", r.count(Status::equivalent)},
                  {"survived", r.count(Status::survived)},
                  {"no_effect", r.count(Status::no_effect)},
                  {"not_equivalent", r.count(Status::not_equivalent)},
                  {"error", r.count(Status::error)},
                  {"unmatched", r.unmatched.size()},
                  {"seconds", r.seconds},
                  {"exit_code", static_cast<int>(r.exit_code())}});
  const Json whole{{"format", "tapegrad gradcheck self-test"},
                   {"version", 1},
                   {"options",
                    {{"mode", name_of(o.check.mode)},
                     {"dtype", dtypes_text(o.check)},
                     {"seed", o.check.seed},
                     {"rtol", o.check.rtol},
                     {"excuse_atol", o.check.excuse_atol},
                     {"nondet_tol", o.check.nondet_tol},
                     {"probes", o.check.directions},
                     {"shard", fmt::format("{}/{}", o.shard.index, o.shard.count)},
                     {"time_limit", o.time_limit > 0 ? Json(o.time_limit) : Json()}}},
                   {"summary", std::move(summary)},
                   {"subjects", std::move(subjects)},
                   {"unmatched", std::move(unmatched)}};
  return whole.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace tapegrad::gradcheck::detail
