#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include <tapegrad/graph/values.h>
#include <tapegrad/nn/distributed/agreement.h>
#include <tapegrad/nn/distributed/number_rows.h>
#include <tapegrad/nn/train/checkpoint_broadcast.h>

namespace tapegrad::nn {

namespace {

/// Texts, each behind its length, for ranks of one program: nothing is checked.
class Writer {
 public:
  void number(std::uint64_t n) { text_.append(reinterpret_cast<const char*>(&n), sizeof n); }
  void text(std::string_view t) {
    number(t.size());
    text_ += t;
  }
  void texts(const Metadata& all) {
    number(all.size());
    for (const auto& [name, value] : all) {
      text(name);
      text(value);
    }
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

class Reader {
 public:
  explicit Reader(std::string_view text) : left_(text) {}
  std::uint64_t number() {
    std::uint64_t n = 0;
    std::memcpy(&n, left_.data(), sizeof n);
    left_.remove_prefix(sizeof n);
    return n;
  }
  std::string text() {
    const std::size_t size = number();
    std::string t(left_.substr(0, size));
    left_.remove_prefix(size);
    return t;
  }
  Metadata texts() {
    Metadata all;
    for (std::uint64_t n = number(); n > 0; --n) {
      std::string name = text();
      all.emplace(std::move(name), text());
    }
    return all;
  }

 private:
  std::string_view left_;
};

}  // namespace

Checkpoint broadcast(Communicator& communicator, const Checkpoint& checkpoint) {
  Writer w;
  if (communicator.is_root()) {
    w.text(checkpoint.path);
    w.texts(checkpoint.settings);
    w.texts(checkpoint.trainer_settings);
    w.number(checkpoint.unreadable.size());
    for (const std::string& line : checkpoint.unreadable) w.text(line);
    w.number(checkpoint.tensors.size());
    for (const auto& [name, tensor] : checkpoint.tensors) {
      w.text(name);
      w.number(static_cast<std::uint64_t>(tensor.dtype()));
      w.number(tensor.rank());
      for (std::size_t axis = 0; axis < tensor.rank(); ++axis)
        w.number(static_cast<std::uint64_t>(tensor.shape()[axis]));
    }
  }
  const std::string text = nn::broadcast(communicator, w.take());
  Reader r(text);
  Checkpoint c;
  c.path = r.text();
  c.settings = r.texts();
  c.trainer_settings = r.texts();
  for (std::uint64_t n = r.number(); n > 0; --n) c.unreadable.push_back(r.text());
  for (std::uint64_t n = r.number(); n > 0; --n) {
    std::string name = r.text();
    const auto dtype = static_cast<Dtype>(r.number());
    std::vector<std::int64_t> sizes(r.number());
    for (std::int64_t& size : sizes) size = static_cast<std::int64_t>(r.number());
    c.tensors.emplace_back(std::move(name), Tensor::empty(Shape(sizes), dtype));
  }
  for (std::size_t i = 0; i < c.tensors.size(); ++i) {
    Tensor& tensor = c.tensors[i].second;
    if (communicator.is_root()) tensor = checkpoint.tensors[i].second.copy();
    if (tensor.size() > 0) communicator.broadcast(bytes_of(tensor));
  }
  return c;
}

}  // namespace tapegrad::nn
