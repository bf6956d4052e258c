#include <tapegrad/nn/io/text.h>

#include <nlohmann/json.hpp>

namespace tapegrad::nn::files {

// JSON is written in UTF-8 alone, so its library examines what it quotes.
bool is_utf8(const std::string& text) {
  try {
    static_cast<void>(nlohmann::json(text).dump());
    return true;
  } catch (const nlohmann::json::exception&) {
    return false;
  }
}

}  // namespace tapegrad::nn::files
