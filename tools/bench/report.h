#pragma once

#include <string>
#include <vector>

#include "machine.h"
#include "runner.h"

namespace tapegrad::bench {

/// How much better tapegrad is than another contender of the same workload: above 1 it is faster, or smaller.
/// 0 where one of them has no measurement.
double advantage_over(const std::string& contender, const std::vector<Measurement>& of_workload);

/// The table's head, and the lines of one workload: a line for each contender, tapegrad's with the ratios; or,
/// where the engines of matrix products or one thread and several are compared, one line for all of them. Where the work was counted, each line
/// has its rates and their shares of the machine's limits.
std::string table_head(const std::vector<Measurement>& of_workload);
std::string table_lines(const std::vector<Measurement>& of_workload, const MachineLimits& machine);

/// How often `automatic` is within 5 % of the better engine, and where it is furthest from it; empty where none
/// were compared.
std::string engines_summary(const std::vector<std::vector<Measurement>>& by_workload);

/// Where several threads take over 5 % longer than one; empty where they were not compared.
std::string threads_summary(const std::vector<std::vector<Measurement>>& by_workload);

/// All measurements as an array of objects, then one with the ratios for each workload.
std::string to_json(const std::vector<std::vector<Measurement>>& by_workload, int threads,
                    const MachineLimits& machine);

}  // namespace tapegrad::bench
