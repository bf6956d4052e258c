#pragma once

#include <string>

#include <zlib.h>
#include <boost/test/unit_test.hpp>

namespace tapegrad::test {

/// The content as zlib packs it, in the form that `window_bits` names: negative for bare deflate, 16 more for gzip.
inline std::string deflate_all(const std::string& content, int level, int window_bits) {
  z_stream z{};
  BOOST_REQUIRE(deflateInit2(&z, level, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&z, content.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  z.avail_in = static_cast<uInt>(content.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  BOOST_REQUIRE(deflate(&z, Z_FINISH) == Z_STREAM_END);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

}  // namespace tapegrad::test
