#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/name_scope.h>
#include <tapegrad/graph/parameter.h>
#include <tapegrad/graph/random.h>
#include <tapegrad/graph/tensor.h>

namespace tapegrad::nn {

class ModuleBase;

/// A tensor that belongs to a module and is not trained, such as a running mean. Whatever is assigned to it
/// loses its history, so that it never holds on to a tape nor becomes stale.
class Buffer : public Tensor {
 public:
  Buffer() noexcept = default;
  /// The value without its history.
  Buffer(const Tensor& value) noexcept : Tensor(value.detach()) {}

  /// As of a tensor, and without the history of the result.
  template <class Operand>
  Buffer& operator+=(const Operand& operand) {
    return changed([&](Tensor& value) { value += operand; });
  }
  /// The same.
  template <class Operand>
  Buffer& operator-=(const Operand& operand) {
    return changed([&](Tensor& value) { value -= operand; });
  }
  /// The same.
  template <class Operand>
  Buffer& operator*=(const Operand& operand) {
    return changed([&](Tensor& value) { value *= operand; });
  }
  /// The same.
  template <class Operand>
  Buffer& operator/=(const Operand& operand) {
    return changed([&](Tensor& value) { value /= operand; });
  }

 private:
  template <class F>
  Buffer& changed(const F& change) {
    Tensor value = *this;
    change(value);
    return *this = value;
  }
};

/// What ModuleBase::visit hands a module's members to, each with its name. It is for the library to implement,
/// and for tools that walk modules.
class TAPEGRAD_API Visitor {
 public:
  virtual ~Visitor();

  /// A member and its name, by its kind.
  void operator()(std::string_view name, Parameter& member) { parameter(name, member); }
  void operator()(std::string_view name, Buffer& member) { buffer(name, member); }
  void operator()(std::string_view name, Generator& member) { generator(name, member); }
  void operator()(std::string_view name, ModuleBase& member) { module(name, member); }
  /// A member that may be absent.
  template <class T>
  void operator()(std::string_view name, std::unique_ptr<T>& member) {
    if (member) (*this)(name, *member);
  }
  template <class T>
  void operator()(std::string_view name, std::shared_ptr<T>& member) {
    if (member) (*this)(name, *member);
  }
  template <class T>
  void operator()(std::string_view name, std::optional<T>& member) {
    if (member) (*this)(name, *member);
  }
  /// Members called name.0, name.1, ...
  template <class T, std::size_t N>
  void operator()(std::string_view name, std::array<T, N>& members) {
    for (std::size_t i = 0; i < N; ++i) (*this)(std::string_view(indexed(name, i)), members[i]);
  }
  template <class T>
  void operator()(std::string_view name, std::vector<T>& members) {
    for (std::size_t i = 0; i < members.size(); ++i) (*this)(std::string_view(indexed(name, i)), members[i]);
  }

 protected:
  /// Takes a member of each kind; does nothing, for a module too, unless overridden.
  virtual void parameter(std::string_view name, Parameter& member);
  virtual void buffer(std::string_view name, Buffer& member);
  virtual void generator(std::string_view name, Generator& member);
  virtual void module(std::string_view name, ModuleBase& member);

 private:
  static detail::PoolString indexed(std::string_view name, std::size_t index);
};

}  // namespace tapegrad::nn
