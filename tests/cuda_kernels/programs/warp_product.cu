// The product of a warp against plain loops in double: where each lane's numbers belong, odd numbers, parts of a depth.
#include <cmath>
#include <limits>
#include <vector>

#include "cuda/launch.h"
#include "cuda/warp_product.h"
#include "tensors.h"

using namespace seq2seq_fast;

namespace {

template <class T>
__global__ void product_kernel(const uint32_t* a, const uint32_t* b, float* sums) {
  uint32_t left[4], right[2];
  float found[4];
  for (int i = 0; i < 4; ++i) left[i] = a[4 * threadIdx.x + i], found[i] = sums[4 * threadIdx.x + i];
  for (int i = 0; i < 2; ++i) right[i] = b[2 * threadIdx.x + i];
  tensor_core_product<T>(found, left, right);
  for (int i = 0; i < 4; ++i) sums[4 * threadIdx.x + i] = found[i];
}

template <class T>
uint32_t two(const T* from) {
  uint32_t bits;
  memcpy(&bits, from, sizeof bits);
  return bits;
}

// a [16, 16] and b [8, 16] to registers, and sums [16, 8] from them, as the manual of PTX draws the fragments of
// mma.m16n8k16: an element's row and column decide its lane and its place there.
template <class T>
void multiply(const T* a, const T* b, float* sums) {
  Tensor<uint32_t> left(4 * warp_size), right(2 * warp_size);
  Tensor<float> spread(4 * warp_size);
  for (int k = 0; k < 16; k += 2) {
    for (int row = 0; row < 16; ++row)
      left.data[4 * (row % 8 * 4 + k % 8 / 2) + row / 8 + k / 8 * 2] = two(a + row * 16 + k);
    for (int row = 0; row < 8; ++row) right.data[2 * (row * 4 + k % 8 / 2) + k / 8] = two(b + row * 16 + k);
  }
  const auto place = [](int row, int column) { return 4 * (row % 8 * 4 + column / 2) + row / 8 * 2 + column % 2; };
  for (int i = 0; i < 16 * 8; ++i) spread.data[place(i / 8, i % 8)] = sums[i];
  check("product", launch(product_kernel<T>, 1, warp_size, 0, nullptr, static_cast<const uint32_t*>(left.data),
                          static_cast<const uint32_t*>(right.data), spread.data));
  for (int i = 0; i < 16 * 8; ++i) sums[i] = spread[place(i / 8, i % 8)];
}

bool near(double found, double truth, double size) {
  if (std::isnan(truth)) return std::isnan(found);
  return found == truth || std::fabs(found - truth) <= 32 * std::ldexp(1.0, -24) * size;
}

// Sums of the products of a's rows and b's, on top of `before`, as float32 holds them.
template <class T>
void compare(const char* what, const T* a, int64_t a_stride, const T* b, int64_t b_stride, int rows, int first,
             int depth, const float* before, const float* found) {
  for (int row = 0; row < product_rows; ++row)
    for (int column = 0; column < rows; ++column) {
      const int at = row * rows + column;
      double truth = before[at], size = std::fabs(before[at]);
      for (int k = first; k < first + depth; ++k) {
        const double term = double(to_float(a[row * a_stride + k])) * to_float(b[column * b_stride + k]);
        truth += term;
        size += std::fabs(term);
      }
      if (near(found[at], truth, size)) continue;
      if (++failures < 5) printf("%s: (%d, %d) is %g, not %g\n", what, row, column, found[at], truth);
    }
}

// A single one in a picks a column of b out, so no number can hide in another's place.
template <class T>
void find_every_place() {
  Tensor<T> a(16 * 16), b(8 * 16);
  for (int64_t i = 0; i < b.count; ++i) b.data[i] = from_float<T>(float(i + 1));  // all of them exact in 8 bits
  for (int64_t one = 0; one < a.count; ++one) {
    a.fill(1, 0);
    a.data[one] = from_float<T>(1.0f);
    float sums[16 * 8] = {};
    multiply(a.data, b.data, sums);
    for (int64_t row = 0; row < 16; ++row)
      for (int64_t column = 0; column < 8; ++column)
        if (sums[row * 8 + column] != (row == one / 16 ? float(column * 16 + one % 16 + 1) : 0.0f)) ++failures;
  }
}

// The largest and smallest numbers, below the normal range too, both zeros, what is not finite; sums in float32.
template <class T>
void take_odd_numbers(float largest, float smallest) {
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const float odd[] = {largest, -largest, smallest, -smallest, 3 * smallest, 0.0f, -0.0f, 1.0f / 3};
  Tensor<T> a(16 * 16), b(8 * 16);
  for (int special = 0; special < 4; ++special) {
    a.fill(5, 2);
    b.fill(6, 2);
    for (int i = 0; i < 64; ++i) a.data[5 * i % a.count] = from_float<T>(odd[i % 8]);
    for (int i = 0; i < 32; ++i) b.data[(3 * i + 1) % b.count] = from_float<T>(odd[(i + i / 8) % 8]);
    if (special == 1) a.data[3 * 16 + 7] = from_float<T>(nan);
    if (special == 2) b.data[6 * 16 + 9] = from_float<T>(-infinity);
    if (special == 3) a.data[12 * 16 + 2] = from_float<T>(infinity), b.data[2 * 16 + 2] = from_float<T>(0.0f);
    float before[16 * 8], found[16 * 8];
    for (int i = 0; i < 16 * 8; ++i) found[i] = before[i] = float(i % 11) - 5.0f;
    multiply(a.data, b.data, found);
    compare("odd numbers", a.data, 16, b.data, 16, product_columns, 0, 16, before, found);
  }
}

constexpr int most_tiles = 3;

template <class T>
__global__ void warp_product_kernel(const T* a, const T* b, float* found, int64_t stride, int tiles, int first,
                                    int depth) {
  const int lane = int(threadIdx.x) % warp_size, columns = tiles * product_columns;
  float sums[most_tiles][4];
  for (int n = 0; n < most_tiles; ++n)
    for (int i = 0; i < 4; ++i) sums[n][i] = 1.0f;
  warp_product(sums, a, stride, b, stride, tiles, first, depth);
  for (int n = 0; n < tiles; ++n)
    for (int i = 0; i < 4; ++i)
      found[(lane / 4 + i / 2 * 8) * columns + n * product_columns + lane % 4 * 2 + i % 2] = sums[n][i];
}

// Rows in memory, over a part of their depth; what fills their ends up is not read.
template <class T>
void multiply_rows() {
  constexpr int depth = 4 * product_depth;
  const int64_t stride = product_stride<T>(depth);
  Tensor<T> a(product_rows * stride), b(most_tiles * product_columns * stride);
  for (auto* rows : {&a, &b}) {
    Tensor<T> numbers(rows->count);
    numbers.fill(rows == &a ? 7 : 8, 1);
    for (int64_t i = 0; i < rows->count; ++i)
      if (i % stride < depth) rows->data[i] = numbers.data[i];
  }
  for (int tiles = 1; tiles <= most_tiles; ++tiles)
    for (int first = 0; first < depth; first += product_depth)
      for (int part = product_depth; first + part <= depth; part += product_depth) {
        const int columns = tiles * product_columns;
        const std::vector<float> ones(product_rows * columns, 1.0f);
        Tensor<float> found(product_rows * columns);
        check("warp_product", launch(warp_product_kernel<T>, 1, warp_size, 0, nullptr, static_cast<const T*>(a.data),
                                     static_cast<const T*>(b.data), found.data, stride, tiles, first, part));
        compare("rows", a.data, stride, b.data, stride, columns, first, part, ones.data(), found.data);
      }
}

}  // namespace

int main() {
  find_every_place<Half>();
  find_every_place<BFloat16>();
  take_odd_numbers<Half>(65504.0f, std::ldexp(1.0f, -24));
  take_odd_numbers<BFloat16>(std::ldexp(1.99f, 62), std::ldexp(1.0f, -133));
  multiply_rows<float>();
  multiply_rows<Half>();
  multiply_rows<BFloat16>();
  if (failures) printf("Error: %d differences\n", failures);
  return failures != 0;
}
