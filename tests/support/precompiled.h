#pragma once

// What most suites include, parsed once for all of them. Headers of this project are not here: a change of one would
// compile every suite anew.

#include <fstream>
#include <numeric>
#include <set>
#include <thread>

#include <boost/test/unit_test.hpp>

#include "cmake/precompiled.h"
