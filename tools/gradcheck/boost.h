#pragma once

#include <tapegrad/gradcheck/check.h>
#include <tapegrad/gradcheck/module.h>

/// In a test of Boost.Test, whose header is to be included as well:
///
///     TAPEGRAD_CHECK_GRADIENTS([](const Tensor& x, const Tensor& w) { return tanh(matmul(x, w)); }, {x, w});
///     TAPEGRAD_CHECK_GRADIENTS(my_function, {x, w}, {.order = 2});
///     TAPEGRAD_CHECK_MODULE_GRADIENTS(net, x);
///
/// The arguments are those of gradcheck::check() and gradcheck::check_module(). A failure shows the report.
/// In GoogleTest the same is
///
///     const gradcheck::Report report = gradcheck::check(my_function, {x, w});
///     EXPECT_TRUE(report.ok()) << report;
///
#define TAPEGRAD_CHECK_GRADIENTS(...) TAPEGRAD_CHECK_GRADIENTS_BY(::tapegrad::gradcheck::check(__VA_ARGS__))
#define TAPEGRAD_CHECK_MODULE_GRADIENTS(...) \
  TAPEGRAD_CHECK_GRADIENTS_BY(::tapegrad::gradcheck::check_module(__VA_ARGS__))

#define TAPEGRAD_CHECK_GRADIENTS_BY(...)                                 \
  do {                                                                   \
    const ::tapegrad::gradcheck::Report tapegrad_report_ = __VA_ARGS__;  \
    BOOST_CHECK_MESSAGE(tapegrad_report_.ok(), tapegrad_report_.text()); \
  } while (false)
