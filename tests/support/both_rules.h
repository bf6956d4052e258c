#pragma once

#include <tapegrad/graph/rule_probe.h>

#include <boost/test/unit_test.hpp>

namespace tapegrad::test {

/// Runs with the fused first-order rules, and again with the general ones.
template <class F>
void with_both_rules(F&& f) {
  for (const bool general : {false, true}) {
    detail::general_rules_only() = general;
    BOOST_TEST_CONTEXT((general ? "general rule" : "fused rule")) f();
  }
  detail::general_rules_only() = false;
}

}  // namespace tapegrad::test
