// How many windows stand on an axis, and which of their places lie on it: against counting them one by one.

#include <vector>

#include <tapegrad/graph/attributes.h>
#include <tapegrad/ops/neural/window.h>

#include "op_support.h"

namespace window_test {

using namespace tapegrad;
using namespace tapegrad::test;
using detail::Size2d;
using detail::Window2d;
using detail::WindowAxis;
using detail::windows_along;
using detail::windows_of;

namespace {

constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();

/// Windows that start at 0, stride, ... of the padded axis: those that end within it; in ceil_mode also the first one
/// that does not, if it starts before the padding at the end.
std::int64_t counted(std::int64_t size, const Window2d& w) {
  const std::int64_t padded = w.padding[1].before + size + w.padding[1].after;
  std::int64_t count = 0, start = 0;
  for (; start + (w.kernel[1] - 1) * w.dilation[1] < padded; start += w.stride[1]) ++count;
  const std::int64_t previous_end = start - w.stride[1] + (w.kernel[1] - 1) * w.dilation[1] + 1;
  if (w.ceil_mode && previous_end < padded && start < w.padding[1].before + size) ++count;
  return count;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(window)

BOOST_AUTO_TEST_CASE(counts_are_those_of_windows_one_by_one) {
  int checked = 0, refused = 0;
  for (std::int64_t size = 1; size <= 7; ++size)
    for (std::int64_t kernel = 1; kernel <= 4; ++kernel)
      for (std::int64_t stride = 1; stride <= 4; ++stride)
        for (std::int64_t before = 0; before <= 2; ++before)
          for (std::int64_t after = 0; after <= 2; ++after)
            for (std::int64_t dilation = 1; dilation <= 3; ++dilation)
              for (const bool ceil_mode : {false, true}) {
                const Window2d w{.kernel = {1, kernel},
                                 .stride = {1, stride},
                                 .padding = {{{0, 0}, {before, after}}},
                                 .dilation = {1, dilation},
                                 .ceil_mode = ceil_mode};
                const std::int64_t expected = counted(size, w);
                const auto text = [&] {
                  return "size " + std::to_string(size) + ", kernel " + std::to_string(kernel) + ", stride " +
                         std::to_string(stride) + ", padding " + std::to_string(before) + ", " +
                         std::to_string(after) + ", dilation " + std::to_string(dilation) +
                         (ceil_mode ? ", ceil_mode" : "");
                };
                if (expected == 0) {
                  ++refused;
                  BOOST_CHECK_THROW(windows_along("pool", Shape{size}, 0, w, 1), ShapeError);
                  continue;
                }
                ++checked;
                const std::int64_t count = windows_along("pool", Shape{size}, 0, w, 1);
                if (count != expected) BOOST_ERROR(text() << ": " << count << ", not " << expected);
                const WindowAxis axis(w, 1, size, count);
                for (std::int64_t o = 0; o < count; ++o)
                  for (std::int64_t k = 0; k < kernel; ++k) {
                    const std::int64_t at = axis.start(o) + k * dilation;
                    const auto [first_place, last_place] = axis.places(o);
                    const auto [first_window, last_window] = axis.windows_with(k);
                    const bool within = at >= 0 && at < size;
                    if (within != (k >= first_place && k < last_place) ||
                        within != (o >= first_window && o < last_window))
                      BOOST_ERROR(text() << ": place " << k << " of window " << o);
                    if (within && k >= axis.places_met()) BOOST_ERROR(text() << ": place " << k << " is met");
                  }
              }
  BOOST_TEST(checked > 4000);
  BOOST_TEST(refused > 500);
}

// From PyTorch 1.13: max_pool2d(zeros(1, 1, h, w), ...).shape.
BOOST_AUTO_TEST_CASE(counts_are_those_of_pytorch) {
  const auto counts = [](std::int64_t h, std::int64_t w, const Window2d& window) {
    return windows_of("max_pool2d", Shape{1, 1, h, w}, window);
  };
  const auto padded = [](std::int64_t p) { return detail::both_sides({p, p}); };
  BOOST_TEST(counts(24, 24, {.kernel = {2, 2}, .stride = {2, 2}}) == (Size2d{12, 12}));
  BOOST_TEST(counts(5, 6, {.kernel = {2, 2}, .stride = {2, 2}}) == (Size2d{2, 3}));
  BOOST_TEST(counts(5, 6, {.kernel = {2, 2}, .stride = {2, 2}, .ceil_mode = true}) == (Size2d{3, 3}));
  BOOST_TEST(counts(7, 7, {.kernel = {3, 3}, .stride = {2, 2}, .padding = padded(1)}) == (Size2d{4, 4}));
  BOOST_TEST(counts(4, 3, {.kernel = {2, 2}, .stride = {3, 3}, .padding = padded(1), .ceil_mode = true}) ==
             (Size2d{2, 2}));
  BOOST_TEST(counts(6, 9, {.kernel = {3, 2}, .stride = {1, 2}, .dilation = {2, 3}}) == (Size2d{2, 3}));
  BOOST_TEST(counts(2, 2, {.kernel = {3, 3}, .stride = {2, 2}, .ceil_mode = true}) == (Size2d{1, 1}));
}

BOOST_AUTO_TEST_CASE(errors) {
  const auto refuse = [](const Window2d& w, auto... parts) {
    BOOST_CHECK_EXCEPTION(windows_of("pool", Shape{2, 3, 4, 5}, w), ArgumentError,
                          mentions("pool: ", parts...));
  };
  refuse({.kernel = {0, 2}}, "kernel is 0", "axis 2", "at least 1");
  refuse({.kernel = {2, -1}}, "kernel is -1", "axis 3");
  refuse({.kernel = {2, 2}, .stride = {2, 0}}, "stride is 0", "axis 3", "at least 1");
  refuse({.kernel = {2, 2}, .dilation = {0, 1}}, "dilation is 0", "axis 2");
  refuse({.padding = {{{-1, 0}, {0, 0}}}}, "padding before is -1", "axis 2", "at least 0");
  refuse({.padding = {{{0, 0}, {0, -2}}}}, "padding after is -2", "axis 3");
  refuse({.kernel = {kHuge, 1}}, "kernel", "2^59");
  refuse({.stride = {kHuge, 1}}, "stride", "2^59");
  refuse({.padding = {{{kHuge, 0}, {0, 0}}}}, "padding", "2^59");
  refuse({.kernel = {1 << 30, 1}, .dilation = {1 << 30, 1}}, "1073741824 elements, 1073741824 apart", "2^59");
  // Each is large enough alone to overflow a sum.
  const std::int64_t most = std::int64_t{1} << 59;
  refuse({.kernel = {most, most}, .padding = {{{most, most}, {most, most}}}}, "576460752303423488 x");

  BOOST_CHECK_EXCEPTION(windows_of("pool", Shape{2, 3, 4, 5}, {.kernel = {3, 3}, .dilation = {1, 3}}),
                        ShapeError,
                        mentions("pool: a window spans 7 elements along axis 3 of [2, 3, 4, 5], which has 5",
                                 "kernel 3, stride 1, dilation 3", "would have size -1", "smaller"));
  BOOST_CHECK_EXCEPTION(detail::require_images("pool", "the input", Tensor::ones({3, 4, 5}), 2), ShapeError,
                        mentions("pool: the input is [3, 4, 5]", "[n, c, h, w]"));
  BOOST_CHECK_EXCEPTION(detail::require_images("pool", "the input", Tensor::ones({3, 4}), 1), ShapeError,
                        mentions("pool: the input is [3, 4]", "[n, c, l]"));
  BOOST_CHECK_EXCEPTION(detail::require_images("pool", "the input", Tensor(), 2), ArgumentError,
                        mentions("the input"));
  BOOST_CHECK_EXCEPTION(windows_of("pool", Shape{3, 4, 0, 5}, {}), ShapeError,
                        mentions("pool: axis 2 of [3, 4, 0, 5] has no elements"));
  BOOST_TEST(windows_of("pool", Shape{0, 3, 4, 5}, {.kernel = {2, 2}}) == (Size2d{3, 4}));
}

BOOST_AUTO_TEST_CASE(attributes_are_named) {
  AttributeText text;
  detail::describe_window(text, {.kernel = {2, 3}, .padding = {{{1, 2}, {3, 4}}}, .ceil_mode = true});
  BOOST_TEST(text.text() ==
             "kernel=[2, 3], stride=[1, 1], padding=[1, 2, 3, 4], dilation=[1, 1], ceil_mode=true");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace window_test
