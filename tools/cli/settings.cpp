#include "settings.h"

#include <algorithm>

#include <tapegrad/graph/errors.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace tapegrad::cli {

namespace {

std::string name_of(const CLI::Option& option) { return option.get_name(false, false); }

bool is_excluded(const CLI::Option& option) {
  const auto excluded = option.get_excludes();
  return std::any_of(excluded.begin(), excluded.end(),
                     [](const CLI::Option* other) { return other->count() > 0; });
}

std::string value_of(const CLI::Option& option) {
  // As it would be given once: a list is one option with commas, of a flag that is given again the last counts.
  return option.count() > 0 ? fmt::format("{}", fmt::join(option.reduced_results(), ","))
                            : option.get_default_str();
}

}  // namespace

std::vector<std::pair<std::string, std::string>> settings_of(const CLI::App& command) {
  std::vector<std::pair<std::string, std::string>> settings;
  for (const CLI::Option* option : command.get_options()) {
    if (is_excluded(*option)) continue;
    if (const std::string value = value_of(*option); !value.empty())
      settings.emplace_back(name_of(*option), value);
  }
  return settings;
}

void restore_settings(CLI::App& command, const nn::Metadata& saved,
                      const std::vector<std::string_view>& may_change,
                      const std::vector<std::string_view>& not_restored) {
  std::vector<std::string> refused;
  for (const CLI::Option* option : command.get_options()) {
    const std::string name = name_of(*option);
    if (option->count() == 0 || name == kResume) continue;
    if (std::find(may_change.begin(), may_change.end(), name) != may_change.end()) continue;
    const auto was = saved.find(name);
    if (was == saved.end() || was->second != value_of(*option))
      refused.push_back(fmt::format("{} is {}, was {}", name, value_of(*option),
                                    was == saved.end() ? "not given" : was->second));
  }
  if (!refused.empty())
    throw ArgumentError(fmt::format("the run that is resumed has other settings: {}; these may change: {}",
                                    fmt::join(refused, ", "), fmt::join(may_change, ", ")));
  // All are looked at before any is given: one that is given excludes others.
  std::vector<std::pair<CLI::Option*, std::string>> taken;
  for (const auto& [name, value] : saved) {
    if (name == kTable) continue;
    CLI::Option* const option = command.get_option_no_throw(name);
    if (!option)
      throw ArgumentError(
          fmt::format("the run that is resumed was started with {} {}, which is not known", name, value));
    if (std::find(not_restored.begin(), not_restored.end(), name) != not_restored.end()) continue;
    if (option->count() == 0 && !is_excluded(*option)) taken.emplace_back(option, value);
  }
  for (const auto& [option, value] : taken) {
    option->add_result(value);
    option->run_callback();
  }
}

}  // namespace tapegrad::cli
