// The loops of a training step that torch can only make in several passes over memory.
//
// Plain pointers and sizes, no header of torch's: it compiles in seconds. Each loop has an equal in torch's
// own operators beside its caller in recmtl/kernels, which says what it computes. Sums are taken in fp32 in
// an order that depends on the number of threads alone.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

namespace {

using i64 = std::int64_t;

struct bf16 {
  std::uint16_t bits;
};

inline float get(float value) { return value; }

inline float get(bf16 value) {
  const std::uint32_t bits = std::uint32_t(value.bits) << 16;
  float out;
  std::memcpy(&out, &bits, sizeof out);
  return out;
}

inline void put(float& out, float value) { out = value; }

inline void put(bf16& out, float value) {  // to the nearest, ties to even; NaN stays NaN
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const std::uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const bool nan = (bits & 0x7fffffff) > 0x7f800000;
  out.bits = std::uint16_t(nan ? (bits >> 16) | 0x40 : rounded);
}

struct Span {
  i64 first, last;
};

Span part(i64 size, i64 number, i64 count) {
  return {size * number / count, size * (number + 1) / count};
}

// Below this many numbers a second thread costs more than it saves.
int enough(i64 numbers, int threads) { return numbers < (i64(1) << 15) ? 1 : threads; }

constexpr i64 BLOCK = 128;  // rows whose sum is taken before it is added to the whole: a shorter chain

// h ← relu(h + bias); NaN stays NaN. h (rows, columns).
template <typename T>
void add_and_clip(T* h, const float* bias, i64 rows, i64 columns, int threads) {
  threads = enough(rows * columns, threads);
#pragma omp parallel for num_threads(threads) schedule(static)
  for (i64 row = 0; row < rows; ++row) {
    T* line = h + row * columns;
    for (i64 j = 0; j < columns; ++j) {
      const float value = get(line[j]) + bias[j];
      put(line[j], value < 0.0f ? 0.0f : value);
    }
  }
}

// Adds up what each thread has found for each column, in the order of the threads.
void add_up(const std::vector<float>& parts, float* out, i64 columns, int threads) {
  for (i64 j = 0; j < columns; ++j) {
    float sum = 0.0f;
    for (int thread = 0; thread < threads; ++thread) sum += parts[thread * columns + j];
    out[j] = sum;
  }
}

// out ← scale · gradient where activation > 0, else 0; bias ← Σ_rows out.
template <typename T>
void mask(const T* gradient, const T* activation, T* out, float* bias, float scale, i64 rows,
          i64 columns, int threads) {
  threads = enough(rows * columns, threads);
  std::vector<float> sums(threads * columns, 0.0f);
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int thread = 0; thread < threads; ++thread) {
    const Span own = part(rows, thread, threads);
    float* sum = sums.data() + thread * columns;
    std::vector<float> of_block(columns), of_row(columns);
    float* __restrict block = of_block.data();
    float* __restrict kept = of_row.data();
    for (i64 start = own.first; start < own.last; start += BLOCK) {
      std::fill(block, block + columns, 0.0f);
      const i64 end = std::min(start + BLOCK, own.last);
      for (i64 row = start; row < end; ++row) {
        const T* g = gradient + row * columns;
        const T* a = activation + row * columns;
        T* o = out + row * columns;
        for (i64 j = 0; j < columns; ++j) {
          const float whole = scale * get(g[j]), through = get(a[j]);  // both read: no branch
          kept[j] = through > 0.0f ? whole : 0.0f;
        }
        for (i64 j = 0; j < columns; ++j) put(o[j], kept[j]);
        for (i64 j = 0; j < columns; ++j) block[j] += kept[j];
      }
      for (i64 j = 0; j < columns; ++j) sum[j] += block[j];
    }
  }
  add_up(sums, bias, columns, threads);
}

// out[t][row, j] ← Σ_k gates[row, t, k] · experts[row, k, j].
template <typename T>
void mix(const float* gates, const T* experts, T* const* out, i64 rows, i64 tasks, i64 count,
         i64 width, int threads) {
  threads = enough(rows * count * width, threads);
#pragma omp parallel num_threads(threads)
  {
    std::vector<float> of_experts(count * width), of_row(width);
    float* __restrict all = of_experts.data();
    float* __restrict sum = of_row.data();
#pragma omp for schedule(static)
    for (i64 row = 0; row < rows; ++row) {
      const T* __restrict own = experts + row * count * width;
      for (i64 j = 0; j < count * width; ++j) all[j] = get(own[j]);
      for (i64 task = 0; task < tasks; ++task) {
        const float* gate = gates + (row * tasks + task) * count;
        std::fill(sum, sum + width, 0.0f);
        for (i64 k = 0; k < count; ++k)
          for (i64 j = 0; j < width; ++j) sum[j] += gate[k] * all[k * width + j];
        T* __restrict into = out[task] + row * width;
        for (i64 j = 0; j < width; ++j) put(into[j], sum[j]);
      }
    }
  }
}

template <typename T>
float dot(const float* a, const T* b, i64 size) {
  constexpr i64 LANES = 16;
  float lanes[LANES] = {};
  i64 j = 0;
  for (; j + LANES <= size; j += LANES)
    for (i64 lane = 0; lane < LANES; ++lane) lanes[lane] += a[j + lane] * get(b[j + lane]);
  float sum = 0.0f;
  for (float lane : lanes) sum += lane;
  for (; j < size; ++j) sum += a[j] * get(b[j]);
  return sum;
}

// From the gradients (rows, width) of each task's mixture: that of the gates, and that of the experts
// before their ReLU and dropout, with its sum over rows.
template <typename T>
void unmix(T* const* gradients, const float* gates, const T* experts, T* out, float* of_gates,
           float* bias, float scale, i64 rows, i64 tasks, i64 count, i64 width, int threads) {
  threads = enough(rows * count * width, threads);
  const i64 columns = count * width;
  std::vector<float> sums(threads * columns, 0.0f);
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int thread = 0; thread < threads; ++thread) {
    const Span own = part(rows, thread, threads);
    float* total = sums.data() + thread * columns;
    std::vector<float> of_block(columns), of_tasks(tasks * width), of_row(width);
    float* __restrict block = of_block.data();
    float* __restrict given = of_tasks.data();
    float* __restrict sum = of_row.data();
    for (i64 start = own.first; start < own.last; start += BLOCK) {
      std::fill(block, block + columns, 0.0f);
      const i64 end = std::min(start + BLOCK, own.last);
      for (i64 row = start; row < end; ++row) {
        for (i64 task = 0; task < tasks; ++task)
          for (i64 j = 0; j < width; ++j)
            given[task * width + j] = get(gradients[task][row * width + j]);
        for (i64 k = 0; k < count; ++k) {
          const T* __restrict expert = experts + row * columns + k * width;
          T* __restrict into = out + row * columns + k * width;
          float* __restrict of_expert = block + k * width;
          std::fill(sum, sum + width, 0.0f);
          for (i64 task = 0; task < tasks; ++task) {
            const i64 gate = (row * tasks + task) * count + k;
            const float share = gates[gate];
            const float* __restrict of_task = given + task * width;
            for (i64 j = 0; j < width; ++j) sum[j] += share * of_task[j];
            of_gates[gate] = dot(of_task, expert, width);
          }
          for (i64 j = 0; j < width; ++j) {
            const float whole = scale * sum[j], through = get(expert[j]);
            sum[j] = through > 0.0f ? whole : 0.0f;
          }
          for (i64 j = 0; j < width; ++j) put(into[j], sum[j]);
          for (i64 j = 0; j < width; ++j) of_expert[j] += sum[j];
        }
      }
      for (i64 j = 0; j < columns; ++j) total[j] += block[j];
    }
  }
  add_up(sums, bias, columns, threads);
}

// out[b, s · width + j] ← table[rows[b, s], first + j]; `row_step` and `out_step` lead to the next b.
template <typename I, typename T>
void gather(const float* table, i64 table_width, i64 first, i64 width, const I* rows, i64 row_step,
            T* out, i64 out_step, i64 size, i64 slots, int threads) {
  threads = enough(size * slots * width, threads);
  constexpr i64 AHEAD = 4;  // impressions whose rows are asked for before they are needed
#pragma omp parallel for num_threads(threads) schedule(static)
  for (i64 b = 0; b < size; ++b) {
    if (b + AHEAD < size)
      for (i64 s = 0; s < slots; ++s)
        __builtin_prefetch(table + i64(rows[(b + AHEAD) * row_step + s]) * table_width + first);
    for (i64 s = 0; s < slots; ++s) {
      const float* from = table + i64(rows[b * row_step + s]) * table_width + first;
      T* into = out + b * out_step + s * width;
      for (i64 j = 0; j < width; ++j) put(into[j], from[j]);
    }
  }
}

// out[b, j] ← the mean of table[values[offsets[b] : offsets[b + 1]], first + j]; 0 for an empty list.
template <typename I, typename T>
void pool(const float* table, i64 table_width, i64 first, i64 width, const I* values,
          const i64* offsets, T* out, i64 out_step, i64 size, int threads) {
  threads = enough(offsets[size] * width, threads);
#pragma omp parallel num_threads(threads)
  {
    std::vector<float> sum(width);
#pragma omp for schedule(static)
    for (i64 b = 0; b < size; ++b) {
      std::fill(sum.begin(), sum.end(), 0.0f);
      for (i64 v = offsets[b]; v < offsets[b + 1]; ++v) {
        const float* from = table + i64(values[v]) * table_width + first;
        for (i64 j = 0; j < width; ++j) sum[j] += from[j];
      }
      const float share = 1.0f / float(std::max<i64>(offsets[b + 1] - offsets[b], 1));
      for (i64 j = 0; j < width; ++j) put(out[b * out_step + j], sum[j] * share);
    }
  }
}

constexpr int BITS = 11;  // of a row that one pass of a sort looks at
constexpr i64 DIGITS = i64(1) << BITS;

// Which row was read, and the place in the batch where it was.
template <typename I>
struct Read {
  I row;
  std::int32_t place;
};

// A pass of a stable radix sort: to ← `from` by these bits of rows. Each thread counts the digits of its part,
// and moves its part behind those of the threads before it.
template <typename I>
void sort_pass(const Read<I>* from, Read<I>* to, i64 size, int shift, int threads) {
  std::vector<i64> begins(threads * DIGITS, 0);
  const auto digit = [=](i64 n) { return (i64(from[n].row) >> shift) & (DIGITS - 1); };
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int thread = 0; thread < threads; ++thread) {
    const Span own = part(size, thread, threads);
    i64* counts = begins.data() + thread * DIGITS;
    for (i64 n = own.first; n < own.last; ++n) ++counts[digit(n)];
  }
  i64 before = 0;
  for (i64 value = 0; value < DIGITS; ++value)
    for (int thread = 0; thread < threads; ++thread) {
      i64& begin = begins[thread * DIGITS + value];
      const i64 found = begin;
      begin = before;
      before += found;
    }
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int thread = 0; thread < threads; ++thread) {
    const Span own = part(size, thread, threads);
    i64* next = begins.data() + thread * DIGITS;
    for (i64 n = own.first; n < own.last; ++n) to[next[digit(n)]++] = from[n];
  }
}

// A stable sort of `rows` (size): order ← places by rising row, starts ← the first place in `order` of each
// distinct row, distinct ← those rows. Returns how many there are.
template <typename I>
i64 group(const I* rows, i64 size, i64 largest, std::int32_t* order, i64* starts, i64* distinct, int threads) {
  threads = enough(size, threads);
  const std::unique_ptr<Read<I>[]> reads(new Read<I>[size]), others(new Read<I>[size]);  // not cleared
  Read<I> *from = reads.get(), *to = others.get();
  for (i64 n = 0; n < size; ++n) from[n] = {rows[n], std::int32_t(n)};
  for (int shift = 0; shift < 63 && (largest >> shift) > 0; shift += BITS) {
    sort_pass(from, to, size, shift, threads);
    std::swap(from, to);
  }
  i64 count = 0;
  for (i64 n = 0; n < size; ++n) {
    order[n] = from[n].place;
    // Written before it is known whether a row begins here, as nothing branches then: the next one may overwrite it.
    starts[count] = n;
    distinct[count] = i64(from[n].row);
    count += !n || from[n].row != from[n - 1].row;
  }
  starts[count] = size;
  return count;
}

// Where the values of one entry stand: at `offset` of the gradient, to be multiplied by `share`.
struct Entry {
  i64 offset;
  float share;
};

// out[j] ← Σ_n share · gradient[offset + j] over the entries from `first` to `last`, LANES columns at a time so that
// their sums stay in registers, from column j while as many are left. Returns the first that is left.
template <i64 LANES, typename T>
inline i64 sum_columns(const T* gradient, const Entry* entries, const std::int32_t* order, i64 first, i64 last,
                       i64 size, i64 j, i64 width, float* out) {
  constexpr i64 AHEAD = 24;  // gradients that are asked for before they are needed
  for (; j + LANES <= width; j += LANES) {
    float sums[LANES] = {};
    for (i64 n = first; n < last; ++n) {
      if (n + AHEAD < size) __builtin_prefetch(gradient + entries[order[n + AHEAD]].offset + j);
      const Entry entry = entries[order[n]];
      for (i64 lane = 0; lane < LANES; ++lane) sums[lane] += entry.share * get(gradient[entry.offset + j + lane]);
    }
    std::copy(sums, sums + LANES, out + j);
  }
  return j;
}

// out[u, c · width + j] ← Σ_entries of u share · gradients[c][offset + j].
template <typename T>
void sum_groups(T* const* gradients, i64 copies, i64 width, const Entry* entries,
                const std::int32_t* order, const i64* starts, i64 count, float* out, int threads) {
  const i64 size = starts[count];
  threads = enough(size * copies * width, threads);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 256)
  for (i64 u = 0; u < count; ++u)
    for (i64 c = 0; c < copies; ++c) {
      const T* from = gradients[c];
      float* into = out + (u * copies + c) * width;
      i64 j = sum_columns<16>(from, entries, order, starts[u], starts[u + 1], size, 0, width, into);
      j = sum_columns<4>(from, entries, order, starts[u], starts[u + 1], size, j, width, into);
      sum_columns<1>(from, entries, order, starts[u], starts[u + 1], size, j, width, into);
    }
}

// One entry a look-up: those of slots, whose gradients lie side by side in a row of `step` columns from `first` ...
void of_slots(Entry* entries, i64 size, i64 slots, i64 width, i64 step, i64 first, int threads) {
  threads = enough(size * slots, threads);
#pragma omp parallel for num_threads(threads) schedule(static)
  for (i64 b = 0; b < size; ++b)
    for (i64 s = 0; s < slots; ++s) entries[b * slots + s] = {b * step + first + s * width, 1.0f};
}

// ... and those of a list, which share the gradient of its mean.
void of_list(Entry* entries, const i64* offsets, i64 size, i64 step, i64 first, int threads) {
  threads = enough(offsets[size], threads);
#pragma omp parallel for num_threads(threads) schedule(static)
  for (i64 b = 0; b < size; ++b) {
    const float share = 1.0f / float(std::max<i64>(offsets[b + 1] - offsets[b], 1));
    for (i64 n = offsets[b]; n < offsets[b + 1]; ++n) entries[n] = {b * step + first, share};
  }
}

// Row-wise Adagrad on `count` rows of a table, in place: one accumulator for each of `copies` parts.
void adagrad(float* table, float* squares, const i64* rows, const float* gradients, i64 count,
             i64 copies, i64 width, float rate, float l2, float epsilon, int threads) {
  constexpr i64 AHEAD = 16;  // rows that are asked for before they are needed
#pragma omp parallel num_threads(threads)
  {
    std::vector<float> whole(width);
#pragma omp for schedule(static)
    for (i64 u = 0; u < count; ++u) {
      if (u + AHEAD < count) {
        __builtin_prefetch(table + rows[u + AHEAD] * copies * width, 1);
        __builtin_prefetch(squares + rows[u + AHEAD] * copies, 1);
      }
      for (i64 c = 0; c < copies; ++c) {
        float* weight = table + (rows[u] * copies + c) * width;
        const float* gradient = gradients + (u * copies + c) * width;
        for (i64 j = 0; j < width; ++j) whole[j] = gradient[j] + l2 * weight[j];
        float& square = squares[rows[u] * copies + c];
        square += dot(whole.data(), whole.data(), width) / float(width);
        const float step = rate / (std::sqrt(square) + epsilon);
        for (i64 j = 0; j < width; ++j) weight[j] -= step * whole[j];
      }
    }
  }
}

}  // namespace

#define FOR_FLOATS(EACH) EACH(f32, float) EACH(b16, bf16)
#define FOR_ROWS(EACH) EACH(i32, std::int32_t) EACH(i64, i64)

extern "C" {

#define DENSE(NAME, T)                                                                            \
  void add_and_clip_##NAME(T* h, const float* bias, i64 rows, i64 columns, int threads) {         \
    add_and_clip(h, bias, rows, columns, threads);                                                \
  }                                                                                               \
  void mask_##NAME(const T* gradient, const T* activation, T* out, float* bias, float scale,      \
                   i64 rows, i64 columns, int threads) {                                          \
    mask(gradient, activation, out, bias, scale, rows, columns, threads);                         \
  }                                                                                               \
  void mix_##NAME(const float* gates, const T* experts, T* const* out, i64 rows, i64 tasks,       \
                  i64 count, i64 width, int threads) {                                            \
    mix(gates, experts, out, rows, tasks, count, width, threads);                                 \
  }                                                                                               \
  void unmix_##NAME(T* const* gradients, const float* gates, const T* experts, T* out,            \
                    float* of_gates, float* bias, float scale, i64 rows, i64 tasks, i64 count,    \
                    i64 width, int threads) {                                                     \
    unmix(gradients, gates, experts, out, of_gates, bias, scale, rows, tasks, count, width,       \
          threads);                                                                               \
  }                                                                                               \
  void sum_groups_##NAME(T* const* gradients, i64 copies, i64 width, const Entry* entries,        \
                         const std::int32_t* order, const i64* starts, i64 count, float* out,     \
                         int threads) {                                                           \
    sum_groups(gradients, copies, width, entries, order, starts, count, out, threads);            \
  }
FOR_FLOATS(DENSE)

#define LOOKED_UP(ROWS, I, NAME, T)                                                               \
  void gather_##ROWS##_##NAME(const float* table, i64 table_width, i64 first, i64 width,          \
                              const I* rows, i64 row_step, T* out, i64 out_step, i64 size,        \
                              i64 slots, int threads) {                                           \
    gather(table, table_width, first, width, rows, row_step, out, out_step, size, slots, threads); \
  }                                                                                               \
  void pool_##ROWS##_##NAME(const float* table, i64 table_width, i64 first, i64 width,            \
                            const I* values, const i64* offsets, T* out, i64 out_step, i64 size,  \
                            int threads) {                                                        \
    pool(table, table_width, first, width, values, offsets, out, out_step, size, threads);        \
  }
#define TABLE(ROWS, I)                                                                            \
  LOOKED_UP(ROWS, I, f32, float)                                                                  \
  LOOKED_UP(ROWS, I, b16, bf16)                                                                   \
  i64 group_##ROWS(const I* rows, i64 size, i64 largest, std::int32_t* order, i64* starts,        \
                   i64* distinct, int threads) {                                                  \
    return group(rows, size, largest, order, starts, distinct, threads);                          \
  }
FOR_ROWS(TABLE)

void entries_of_slots(Entry* entries, i64 size, i64 slots, i64 width, i64 step, i64 first, int threads) {
  of_slots(entries, size, slots, width, step, first, threads);
}
void entries_of_list(Entry* entries, const i64* offsets, i64 size, i64 step, i64 first, int threads) {
  of_list(entries, offsets, size, step, first, threads);
}
void row_adagrad(float* table, float* squares, const i64* rows, const float* gradients, i64 count,
                 i64 copies, i64 width, float rate, float l2, float epsilon, int threads) {
  threads = enough(count * copies * width, threads);
  adagrad(table, squares, rows, gradients, count, copies, width, rate, l2, epsilon, threads);
}
}
