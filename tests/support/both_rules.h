#pragma once

#include <tapegrad/graph/rule_probe.h>

#include <boost/test/unit_test.hpp>

namespace tapegrad::test {

/// Runs with the fused first-order rules, and again with the general ones.
template <class F>
void with_both_rules(F&& f) {
  for (const bool general : {false, true}) {
    const detail::GeneralRules rules(general);
    BOOST_TEST_CONTEXT((general ? "general rule" : "fused rule")) f();
  }
}

}  // namespace tapegrad::test
