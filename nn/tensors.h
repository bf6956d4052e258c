#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>

/// Which tensors a value holds: for the arguments and results of layers.
namespace tapegrad::nn {
class TensorVisitor;
}

namespace tapegrad::detail {

template <class T>
concept VisitsTensors = requires(T& value, nn::TensorVisitor& v) {
  value.visit_tensors(v);
};

template <class T>
struct ListsTensors : std::bool_constant<std::derived_from<T, Tensor> || std::is_arithmetic_v<T> ||
                                         std::is_enum_v<T> || VisitsTensors<T>> {};
template <class T>
struct ListsTensors<std::optional<T>> : ListsTensors<T> {};
template <class T, class Allocator>
struct ListsTensors<std::vector<T, Allocator>> : ListsTensors<T> {};
template <class T, std::size_t N>
struct ListsTensors<std::array<T, N>> : ListsTensors<T> {};
template <class... T>
struct ListsTensors<std::tuple<T...>> : std::conjunction<ListsTensors<T>...> {};
template <class T, class U>
struct ListsTensors<std::pair<T, U>> : std::conjunction<ListsTensors<T>, ListsTensors<U>> {};

}  // namespace tapegrad::detail

namespace tapegrad::nn {

/// Whether the tensors of a T are known: a Tensor; numbers, which hold none; a struct with
///
///     void visit_tensors(nn::TensorVisitor& v) { v("h", h), v("c", c); }
///
/// where v takes a name and any value whose tensors are known; vectors, arrays, pairs, tuples and optionals of
/// all these.
template <class T>
inline constexpr bool lists_tensors = detail::ListsTensors<T>::value;

/// What visit_tensors hands the tensors of a value to, each with its name: always the same ones in the same
/// order. It is for the library to implement, and for tools that walk values.
class TAPEGRAD_API TensorVisitor {
 public:
  virtual ~TensorVisitor();

  /// A member that holds tensors, and its name.
  template <class T>
  requires lists_tensors<T>
  void operator()(std::string_view name, T& member) {
    const std::size_t before = path_.size();
    if (!path_.empty()) path_ += '.';
    path_ += name;
    walk(member);
    path_.resize(before);
  }

 protected:
  /// All tensors of a value. Elements of vectors, arrays, pairs and tuples are called "0", "1", ...
  template <class T>
  void walk(T& value) {
    if constexpr (std::derived_from<T, Tensor>) {
      tensor(path_, value);
    } else if constexpr (detail::VisitsTensors<T>) {
      value.visit_tensors(*this);
    } else if constexpr (requires { value.has_value(); }) {
      if (value) walk(*value);
    } else if constexpr (requires { value.begin(); }) {
      if constexpr (!std::is_arithmetic_v<typename T::value_type>) {
        std::size_t i = 0;
        for (auto& element : value) (*this)(std::to_string(i++), element);
      }
    } else if constexpr (requires { std::tuple_size<T>::value; }) {
      std::size_t i = 0;
      std::apply([&](auto&... element) { ((*this)(std::to_string(i++), element), ...); }, value);
    }
  }

 private:
  virtual void tensor(std::string_view path, Tensor& member) = 0;

  std::string path_;
};

/// Calls f(name, tensor) for each tensor of a value: the path of names that lead to it, as in "states.0.h";
/// empty for a value that is a tensor itself.
template <class T, class F>
requires lists_tensors<std::remove_const_t<T>>
void for_each_tensor(T& value, F&& f) {
  struct Caller final : TensorVisitor {
    explicit Caller(F& function) : f(function) {}
    void tensor(std::string_view path, Tensor& member) override { f(path, member); }
    using TensorVisitor::walk;
    F& f;
  };
  // visit_tensors is not const, as it hands out members to change, but changes nothing itself.
  Caller(f).walk(const_cast<std::remove_const_t<T>&>(value));
}

}  // namespace tapegrad::nn
