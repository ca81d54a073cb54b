// Products of matrices in fp32, and what a network does with each number while it lies in a register.
//
// For processors that MKL leaves half unused. A tile of the result, STRIP rows of PANEL vectors, is summed up in
// registers; what it reads stays in the nearest caches. Compiled as one with loops.cpp, which comes first. The
// same layer by layer, by torch: recmtl/model/chain.py.

namespace {

typedef float Lanes __attribute__((vector_size(64), aligned(4), may_alias));

constexpr i64 LANES = 16;
constexpr i64 STRIP = 6, SOME = 2;  // rows; a last strip is shorter
constexpr i64 PANEL = 4, WIDE = PANEL * LANES;  // with STRIP 24 sums, 4 vectors and a factor, of 32 registers
constexpr i64 DEEP = 512;           // terms of a sum that are added at a time
constexpr i64 TALL = 32 * STRIP;    // rows that go through all layers, or into a weight's gradient, at a time
constexpr i64 SPREAD = 512;         // numbers from one line to the next: 2 KiB

template <auto VALUE>
struct Const {
  static constexpr auto value = VALUE;
};

struct Free {
  void operator()(float* memory) const { std::free(memory); }
};
using Floats = std::unique_ptr<float[], Free>;

Floats floats(i64 size) {  // as vectors lie in cache lines; whatever was there
  return Floats(static_cast<float*>(std::aligned_alloc(64, (size + LANES) / LANES * LANES * sizeof(float))));
}

i64 padded(i64 columns) { return (columns + LANES - 1) / LANES * LANES; }

// The vector that begins here; of its numbers only `wide` are there where it is not WHOLE.
template <bool WHOLE>
inline Lanes load(const float* from, i64 wide) {
  if (WHOLE) return *reinterpret_cast<const Lanes*>(from);
  Lanes out{};
  for (i64 lane = 0; lane < std::min(wide, LANES); ++lane) out[lane] = from[lane];
  return out;
}

template <bool WHOLE>
inline void store(float* to, Lanes value, i64 wide) {
  if (WHOLE) *reinterpret_cast<Lanes*>(to) = value;
  else for (i64 lane = 0; lane < std::min(wide, LANES); ++lane) to[lane] = value[lane];
}

// use(m, n, Σ_k a[m · across + k · along] · b[k · step + n · LANES ...]) for each of M rows and N vectors.
template <i64 M, i64 N, typename Use>
inline void tile(const float* a, i64 across, i64 along, const float* b, i64 step, i64 depth, Use use) {
  Lanes sums[M][N];  // in registers from first to last, as no loop over them is left
#pragma GCC unroll 8
  for (i64 m = 0; m < M; ++m)
#pragma GCC unroll 8
    for (i64 n = 0; n < N; ++n) sums[m][n] = Lanes{};
  for (i64 k = 0; k < depth; ++k) {
    Lanes values[N];
    for (i64 n = 0; n < N; ++n) values[n] = *reinterpret_cast<const Lanes*>(b + k * step + n * LANES);
    for (i64 m = 0; m < M; ++m) {
      const float factor = a[m * across + k * along];
      for (i64 n = 0; n < N; ++n) sums[m][n] += factor * values[n];
    }
  }
#pragma GCC unroll 8
  for (i64 m = 0; m < M; ++m)
#pragma GCC unroll 8
    for (i64 n = 0; n < N; ++n) use(m, n, sums[m][n]);
}

// Asks for vectors of some rows before they are stored to, or else read: stores wait for their lines one after the
// other, and reads of lines that lie apart are not foreseen.
template <bool STORED>
inline void ask(const float* first, i64 step, i64 rows, i64 vectors) {
  for (i64 m = 0; m < rows; ++m)
    for (i64 n = 0; n < vectors; ++n) __builtin_prefetch(first + m * step + n * LANES, STORED);
}

// act(M, N, WHOLE, m) for strips of M rows that make up `rows`, of N vectors that hold `columns`.
template <i64 N, bool WHOLE, typename Act>
void for_strips(i64 rows, Act act) {
  i64 m = 0;
  for (; m + STRIP <= rows; m += STRIP) act(Const<STRIP>(), Const<N>(), Const<WHOLE>(), m);
  for (; m + SOME <= rows; m += SOME) act(Const<SOME>(), Const<N>(), Const<WHOLE>(), m);
  for (; m < rows; ++m) act(Const<1>(), Const<N>(), Const<WHOLE>(), m);
}

template <i64 N, typename Act>
void for_strips_of(i64 rows, i64 columns, Act act) {
  if (columns > (N - 1) * LANES || N == 1) {
    if (columns >= N * LANES) for_strips<N, true>(rows, act);
    else for_strips<N, false>(rows, act);
  } else if constexpr (N > 1) {
    for_strips_of<N - 1>(rows, columns, act);
  }
}

// A matrix (depth, columns) as panels of WIDE columns, each row of a panel after the other; beyond the last
// column lies anything, and no sum with it is stored. `down` and `across` lead to the next row and column.
Floats panels(const float* from, i64 down, i64 across, i64 depth, i64 columns, int threads) {
  const i64 count = (columns + WIDE - 1) / WIDE;
  Floats out = floats(count * depth * WIDE);
  threads = enough(depth * columns, threads);
#pragma omp parallel for num_threads(threads) schedule(static)
  for (i64 panel = 0; panel < count; ++panel) {
    const float* own = from + panel * WIDE * across;
    const i64 wide = std::min(WIDE, columns - panel * WIDE);
    for (i64 k = 0; k < depth; ++k) {
      float* into = out.get() + (panel * depth + k) * WIDE;
      if (across == 1) std::copy(own + k * down, own + k * down + wide, into);
      else for (i64 n = 0; n < wide; ++n) into[n] = own[k * down + n * across];
    }
  }
  return out;
}

// out ← finish(row, column, x · b) for rows of x, at most TALL; `b` (depth, columns) lies in panels. Where it
// `adds`, x · b is added to what is there.
template <typename Finish>
void multiply(const float* x, i64 x_step, const float* b, float* out, i64 out_step, Span rows, i64 depth,
              i64 columns, bool adds, Finish finish) {
  for (i64 column = 0; column < columns; column += WIDE)
    for (i64 k = 0; k == 0 || k < depth; k += DEEP) {  // over no inputs, too, the result is finished
      const i64 terms = std::min(DEEP, depth - k);
      for_strips_of<PANEL>(rows.last - rows.first, columns - column, [&](auto M, auto N, auto WHOLE, i64 strip) {
        const i64 row = rows.first + strip;
        ask<true>(out + row * out_step + column, out_step, M.value, N.value);
        tile<M.value, N.value>(x + row * x_step + k, x_step, 1, b + column * depth + k * WIDE, WIDE, terms,
                               [&](i64 m, i64 n, Lanes sum) {
          const i64 at = column + n * LANES;
          float* into = out + (row + m) * out_step + at;
          if (k || adds) sum += load<WHOLE.value>(into, columns - at);
          if (k + terms >= depth) sum = finish(WHOLE, row + m, at, sum);
          store<WHOLE.value>(into, sum, columns - at);
        });
      });
    }
}

// sums (outputs, inputs) += gᵀ x, of `terms` rows of g and of x; with the first of them sums ← gᵀ x.
// `panel` has room for TALL lines of WIDE, to which those of x are copied where a vector would reach beyond the
// matrix, and where they lie so far apart that they would share few places of the nearest cache.
void add_weight_gradient(const float* g, i64 g_step, const float* x, i64 x_step, float* sums, bool first,
                         i64 terms, i64 outputs, i64 inputs, float* panel) {
  for (i64 column = 0; column < inputs; column += WIDE) {
    const i64 wide = std::min(WIDE, inputs - column);
    const float* b = x + column;
    i64 step = x_step;
    if (wide % LANES || x_step % SPREAD == 0) {
      for (i64 k = 0; k < terms; ++k) std::copy(b + k * x_step, b + k * x_step + wide, panel + k * WIDE);
      b = panel, step = WIDE;
    } else {
      ask<false>(b, step, terms, wide / LANES);
    }
    for_strips_of<PANEL>(outputs, wide, [&](auto M, auto N, auto WHOLE, i64 m) {
      if (!first) ask<true>(sums + m * inputs + column, inputs, M.value, N.value);
      tile<M.value, N.value>(g + m, 1, g_step, b, step, terms, [&](i64 i, i64 n, Lanes sum) {
        float* into = sums + (m + i) * inputs + column + n * LANES;
        if (!first) sum += load<WHOLE.value>(into, wide - n * LANES);
        store<WHOLE.value>(into, sum, wide - n * LANES);
      });
    });
  }
}

// Rows of a thread, whole strips of them.
Span strips(i64 rows, int thread, int threads) {
  const Span own = part((rows + STRIP - 1) / STRIP, thread, threads);
  return {own.first * STRIP, std::min(own.last * STRIP, rows)};
}

// A weight (outputs, inputs) of a layer, and the first of the columns that it reads and writes.
struct Piece {
  i64 layer, inputs, outputs, reads, writes;
};

// out ← scale · gradient where top > 0, else 0, for some rows of parts that lie side by side; sums += Σ_rows out.
// Parts without a gradient are left as they are.
void mask_parts(float* const* gradients, i64 parts, const float* top, float* out, float* sums, float scale,
                Span rows, i64 width) {
  const i64 own = width / parts;
  for (i64 row = rows.first; row < rows.last; ++row)
    for (i64 part = 0; part < parts; ++part) {
      if (!gradients[part]) continue;
      const float* g = gradients[part] + row * own;
      const float* a = top + row * width + part * own;
      float* __restrict o = out + (row - rows.first) * width + part * own;
      float* __restrict sum = sums + part * own;
      for (i64 j = 0; j < own; ++j) {
        const float whole = scale * g[j], through = a[j];  // both read: no branch
        o[j] = through > 0.0f ? whole : 0.0f;
        sum[j] += o[j];
      }
    }
}

// Where a thread adds up each piece's gradient: the first one at its place, others in memory of their own.
struct Sums {
  std::vector<Floats> others;
  std::vector<float*> at;

  Sums(const Piece* pieces, i64 count, float* const* out, bool first, bool nothing) {
    for (i64 p = 0; p < count; ++p) {
      const i64 size = pieces[p].outputs * pieces[p].inputs;
      others.push_back(floats(first ? 0 : size));
      at.push_back(first ? out[p] : others.back().get());
      if (nothing) std::fill(at[p], at[p] + size, 0.0f);
    }
  }
};

std::vector<Sums> sums_of(const Piece* pieces, i64 count, float* const* out, i64 rows, int threads) {
  std::vector<Sums> all;
  for (int thread = 0; thread < threads; ++thread) {
    const Span own = strips(rows, thread, threads);
    all.emplace_back(pieces, count, out, thread == 0, own.first >= own.last);
  }
  return all;
}

}  // namespace

extern "C" {

// out ← x b, of x (rows, depth) and b (depth, columns).
void product_f32(const float* x, i64 x_step, const float* b, i64 down, i64 across, float* out, i64 out_step,
                 i64 rows, i64 depth, i64 columns, int threads) {
  const Floats packed = panels(b, down, across, depth, columns, threads);
  threads = enough(rows * columns, threads);
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int thread = 0; thread < threads; ++thread) {
    const Span own = strips(rows, thread, threads);
    for (i64 row = own.first; row < own.last; row += TALL)
      multiply(x, x_step, packed.get(), out, out_step, {row, std::min(row + TALL, own.last)}, depth, columns,
               false, [](auto, i64, i64, Lanes sum) { return sum; });
  }
}

// Layer by layer, each of `widths`: out[layer] ← relu(below · weight + bias), of x or the layer below; NaN
// stays NaN, and layers from `clipped` on have no ReLU. Some rows go through all layers before the next ones do.
void chain_f32(const float* x, i64 x_step, float* const* weights, float* const* biases, const Piece* pieces,
               i64 count, float* const* out, const i64* widths, i64 clipped, i64 rows, int threads) {
  std::vector<Floats> packed;
  for (i64 p = 0; p < count; ++p)
    packed.push_back(panels(weights[p], 1, pieces[p].inputs, pieces[p].inputs, pieces[p].outputs, threads));
  threads = enough(rows * widths[0], threads);
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int thread = 0; thread < threads; ++thread) {
    const Span own = strips(rows, thread, threads);
    for (i64 row = own.first; row < own.last; row += TALL)
      for (i64 p = 0; p < count; ++p) {
        const Piece& piece = pieces[p];
        const float* bias = biases[p];
        const float* below = piece.layer ? out[piece.layer - 1] : x;
        const Lanes least = Lanes{} + (piece.layer < clipped ? 0.0f : -INFINITY);
        multiply(below + piece.reads, piece.layer ? widths[piece.layer - 1] : x_step, packed[p].get(),
                 out[piece.layer] + piece.writes, widths[piece.layer], {row, std::min(row + TALL, own.last)},
                 piece.inputs, piece.outputs, false, [&](auto WHOLE, i64, i64 column, Lanes sum) {
          sum += load<WHOLE.value>(bias + column, piece.outputs - column);
          return sum < least ? least : sum;
        });
      }
  }
}

// The gradient of every weight and bias, and of x where `of_x` has room for it. `gradients` are those of what the
// last layer gave, `top`, of which they are `parts` of equal width side by side; or one, before its ReLU or where it
// has none, where there are no parts: then the last layer's biases are left out. Of several parts each has a piece of
// its own in every layer, and where one is null its pieces are passed over. Some rows go through all layers before the
// next ones do, so that inner gradients stay in the caches.
void chain_backward_f32(float* const* gradients, i64 parts, const float* top, const float* x, i64 x_step,
                        float* const* weights, const Piece* pieces, i64 count, float* const* values,
                        const i64* widths, i64 layers, float scale, float* of_x, i64 of_x_step,
                        float* const* of_weights, float* const* of_biases, i64 rows, int threads) {
  std::vector<Floats> packed;
  for (i64 p = 0; p < count; ++p) {
    const Piece& piece = pieces[p];
    const bool read = piece.layer || of_x;
    packed.push_back(read ? panels(weights[p], piece.inputs, 1, piece.outputs, piece.inputs, threads) : Floats());
  }
  const i64 widest = padded(*std::max_element(widths, widths + layers)), last = widths[layers - 1];
  const i64 bottom = std::count_if(pieces, pieces + count, [](const Piece& piece) { return !piece.layer; });
  const bool shared = bottom > 1 && !pieces[1].reads;  // all of the first layer read the whole of x
  const auto asked = [=](i64 p) { return parts < 2 || gradients[p % parts]; };
  // Each thread adds up gradients of all weights, which have to be added up in turn: it takes a block at least.
  threads = int(std::min<i64>(enough(rows * widths[0], threads), std::max<i64>(rows / TALL, 1)));
  std::vector<float> biases(threads * layers * widest, 0.0f);
  const std::vector<Sums> all = sums_of(pieces, count, of_weights, rows, threads);
#pragma omp parallel num_threads(threads)
  {
#pragma omp for schedule(static, 1)
    for (int thread = 0; thread < threads; ++thread) {
      const Span own = strips(rows, thread, threads);
      const Floats panel = floats(TALL * WIDE), block = floats(widest);
      const Floats room[2] = {floats(TALL * widest), floats(TALL * widest)};
      const auto add_bias = [&](i64 layer) {
        float* bias = biases.data() + (thread * layers + layer) * widest;
        for (i64 j = 0; j < widths[layer]; ++j) bias[j] += block[j];
      };
      for (i64 row = own.first; row < own.last; row += TALL) {
        const Span some{row, std::min(row + TALL, own.last)};
        const float* above = gradients[0] + row * last;
        if (parts) {
          float* into = room[layers % 2].get();
          std::fill(block.get(), block.get() + last, 0.0f);
          mask_parts(gradients, parts, top, into, block.get(), scale, some, last);
          add_bias(layers - 1);
          above = into;
        }
        i64 step = last;
        for (i64 layer = layers - 1, p = count - 1; layer >= 0; --layer) {
          const i64 below_step = layer ? widths[layer - 1] : x_step;
          const float* below = (layer ? values[layer - 1] : x) + row * below_step;
          float* into = layer ? room[layer % 2].get() : of_x ? of_x + row * of_x_step : nullptr;
          std::fill(block.get(), block.get() + widest, 0.0f);
          bool adds = false;
          for (; p >= 0 && pieces[p].layer == layer; --p) {
            if (!asked(p)) continue;
            const Piece& piece = pieces[p];
            const float* given = above + piece.writes;
            const float* through = below + piece.reads;
            float* sums = block.get() + piece.reads;
            add_weight_gradient(given, step, through, below_step, all[thread].at[p], row == own.first,
                                some.last - row, piece.outputs, piece.inputs, panel.get());
            if (into && !layer) {
              multiply(given, step, packed[p].get(), into + piece.reads, of_x_step, {0, some.last - row},
                       piece.outputs, piece.inputs, adds, [](auto, i64, i64, Lanes sum) { return sum; });
              adds = shared;
            } else if (into)
              multiply(given, step, packed[p].get(), into + piece.reads, below_step, {0, some.last - row},
                       piece.outputs, piece.inputs, false, [&](auto WHOLE, i64 r, i64 column, Lanes sum) {
                const i64 wide = piece.inputs - column;
                const Lanes activation = load<WHOLE.value>(through + r * below_step + column, wide);
                sum = activation > 0.0f ? scale * sum : Lanes{};
                store<WHOLE.value>(sums + column, load<WHOLE.value>(sums + column, wide) + sum, wide);
                return sum;
              });
          }
          if (layer) add_bias(layer - 1);
          above = into, step = below_step;
        }
      }
    }
    for (i64 p = 0; p < count; ++p) {
      if (!asked(p)) continue;
#pragma omp for schedule(static) nowait
      for (i64 j = 0; j < pieces[p].outputs * pieces[p].inputs; ++j)
        for (int thread = 1; thread < threads; ++thread) of_weights[p][j] += all[thread].at[p][j];
    }
  }
  for (i64 layer = 0; layer < layers - !parts; ++layer)
    for (i64 j = 0; j < widths[layer]; ++j) {
      of_biases[layer][j] = 0.0f;
      for (int thread = 0; thread < threads; ++thread)
        of_biases[layer][j] += biases[(thread * layers + layer) * widest + j];
    }
}
}
