#pragma once

#include <tapegrad/ops/samples.h>
#include <tapegrad/ops/tensor/linalg.h>

/// The structs behind <tapegrad/ops/tensor/linalg.h>; <tapegrad/ops/op.h> explains the pattern.
namespace tapegrad TAPEGRAD_API {  // the structs are part of the names of exported templates

struct Matmul : MatmulOptions {  // Y = A B:  dA = dY B^T,  dB = A^T dY
  static constexpr auto name = "matmul";
  static constexpr auto saves = saves_for(kIn1, kIn0);
  static constexpr bool composed = false;
  Tensor forward(const Tensor& a, const Tensor& b) const;
  static void vjp(VjpContext<Matmul>& ctx);
  static void vjp_fused(VjpContext<Matmul>& ctx);
  static void samples(Samples& s) {
    const Matmul plain{};
    s.add(plain, {Shape{2, 3}, Shape{3, 4}});
    s.add(plain, {Shape{1, 1}, Shape{1, 1}});
    s.add(plain, {Shape{9, 7}, Shape{7, 11}}, "beyond the plain loop");
    s.add(plain, {Shape{131, 67}, Shape{67, 139}}, "for several threads");
    s.add(Matmul{{.transpose_a = true}}, {Shape{3, 2}, Shape{3, 4}}, "A^T B");
    s.add(Matmul{{.transpose_b = true}}, {Shape{2, 3}, Shape{4, 3}}, "A B^T");
    s.add(Matmul{{.transpose_a = true, .transpose_b = true}}, {Shape{3, 2}, Shape{4, 3}}, "A^T B^T");
    s.add(plain, {Shape{3}, Shape{3}}, "vectors");
    s.add(plain, {Shape{3}, Shape{3, 2}}, "vector and matrix");
    s.add(plain, {Shape{2, 3}, Shape{3}}, "matrix and vector");
    s.add(Matmul{{.transpose_b = true}}, {Shape{3}, Shape{2, 3}}, "vector and B^T");
    s.add(plain, {Shape{2, 2, 3}, Shape{2, 3, 2}}, "batch");
    s.add(plain, {Shape{2, 2, 3}, Shape{3, 2}}, "batch and one matrix");
    s.add(plain, {Shape{2, 3}, Shape{2, 3, 2}}, "one matrix and batch");
    s.add(plain, {Shape{2, 1, 2, 3}, Shape{3, 3, 2}}, "broadcast batch");
    s.add(plain, {Shape{2, 2, 3}, Shape{3}}, "batch and vector");
    s.add(plain, {Shape{3}, Shape{2, 3, 2}}, "vector and batch");
    s.add(Matmul{{.transpose_a = true}}, {Shape{2, 3, 2}, Shape{3, 2}}, "A^T of a batch and one matrix");
    s.add(Matmul{{.transpose_a = true, .transpose_b = true}}, {Shape{2, 1, 3, 2}, Shape{3, 2, 3}},
          "A^T B^T of a broadcast batch");
  }
};

struct Affine {  // Y = X W + b:  dX = dY W^T,  dW = X^T dY,  db = the sum of the rows of dY
  static constexpr auto name = "affine";
  static constexpr auto saves = saves_for(kIn1, kIn0, kNone);
  static constexpr bool composed = false;
  Tensor forward(const Tensor& x, const Tensor& weight, const Tensor& bias) const;
  static void vjp(VjpContext<Affine>& ctx);
  static void vjp_fused(VjpContext<Affine>& ctx);
  static void samples(Samples& s) {
    s.add(Affine{}, {Shape{4, 3}, Shape{3, 2}, Shape{2}});
    s.add(Affine{}, {Shape{3}, Shape{3, 2}, Shape{2}}, "one sample");
    s.add(Affine{}, {Shape{2, 2, 3}, Shape{3, 2}, Shape{2}}, "batch of two axes");
    s.add(Affine{}, {Shape{1, 1}, Shape{1, 1}, Shape{1}});
    s.add(Affine{}, {Shape{9, 8}, Shape{8, 11}, Shape{11}}, "beyond the plain loop");
  }
};

}  // namespace TAPEGRAD_API
