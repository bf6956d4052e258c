#pragma once

#include <functional>
#include <string>
#include <vector>

#include "plot/picture.h"
#include "runner.h"

namespace tapegrad::bench {

/// What can be asked for by name: one workload, or several that are measured together.
struct Entry {
  std::string name;
  std::string description;
  std::function<std::vector<Measurement>(const Contenders&, const RunnerOptions&)> measure;
  bool on_demand = false;  ///< left out unless a filter names it
  bool counted = false;    ///< its work is counted, to be reported against the machine's limits
};

/// The table that `tapegrad bench` prints.
std::vector<Entry> suite();

/// The same measurements at growing sizes: entries are called WHAT-SIZE.
std::vector<Entry> growth_suite();
/// A chart for each WHAT, with a line for each contender. Those of one size only are left out.
struct NamedChart {
  std::string name;
  plot::Picture picture;
};
std::vector<NamedChart> growth_charts(const std::vector<std::vector<Measurement>>& by_workload);

}  // namespace tapegrad::bench
