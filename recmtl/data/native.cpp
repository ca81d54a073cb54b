// The loops of encoding: look-ups, scaling, hiding of rare ids and taking of lists, each in one pass.
//
// Plain pointers and sizes, one thread: others read and write meanwhile. Each loop has an equal in pandas
// or numpy beside the caller of its wrapper in native.py, and gives the same to the bit.

namespace {

// MurmurHash3's finaliser: one value for each of 2^64, every bit of it dependent on every bit given.
inline u64 spread(u64 x) {
  x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdULL;
  x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53ULL;
  return x ^ (x >> 33);
}

inline u64 load(const char* bytes, int size) {
  u64 found = 0;
  std::memcpy(&found, bytes, std::size_t(size));
  return found;
}

// Up to 7 bytes as a number: equal for strings of one length only where they are equal.
inline u64 few(Word word) {
  if (word.size >= 4) return load(word.bytes, 4) << 32 | load(word.bytes + word.size - 4, 4);
  if (word.size >= 2) return load(word.bytes, 2) << 16 | load(word.bytes + word.size - 2, 2);
  return word.size ? load(word.bytes, 1) : 0;
}

inline u64 hash(Word word) {
  u64 found = spread(u64(word.size));
  if (word.size < 8) return spread(found ^ few(word));
  for (i64 at = 0; at + 8 < word.size; at += 8) found = spread(found ^ load(word.bytes + at, 8));
  return spread(found ^ load(word.bytes + word.size - 8, 8));
}

inline bool same(Word a, Word b) {
  if (a.size != b.size) return false;
  if (a.size < 8) return few(a) == few(b);
  for (i64 at = 0; at + 8 < a.size; at += 8)
    if (load(a.bytes + at, 8) != load(b.bytes + at, 8)) return false;
  return load(a.bytes + a.size - 8, 8) == load(b.bytes + b.size - 8, 8);
}

// An entry of an open-addressing table of distinct values, of which there are less than 2^31: an id, or a
// string's hash, and its place among them; −1 is free. A table of ten million takes 60 MB less so packed.
struct __attribute__((packed)) Entry {
  u64 key;
  std::int32_t place;
};

struct Index {
  Entry* entries;
  i64 room;
  Array known;
};

constexpr i64 GROUP = 32;   // values whose entries are asked for before the first is looked at
constexpr i64 TILE = 1024;  // rows whose part of the matrix stays in the cache from column to column

// Keys of `count` values, and where the search for each begins; it is asked for.
inline void prepare(const Array& array, i64 first, i64 count, const Index& index, u64* keys, i64* at) {
  for (i64 n = 0; n < count; ++n) {
    keys[n] = array.ends ? hash(word(array, first + n)) : u64(number(array, first + n));
    const u64 hashed = (keys[n] ^ (keys[n] >> 32)) * 0x9e3779b97f4a7c15ULL;
    at[n] = i64((unsigned __int128)(hashed) * u64(index.room) >> 64);
    __builtin_prefetch(index.entries + at[n]);
  }
}

void build(const Index& index, i64 size) {
  for (i64 n = 0; n < index.room; ++n) index.entries[n].place = -1;
  u64 keys[GROUP];
  i64 at[GROUP];
  for (i64 first = 0; first < size; first += GROUP) {
    const i64 count = std::min(GROUP, size - first);
    prepare(index.known, first, count, index, keys, at);
    for (i64 n = 0; n < count; ++n) {
      i64 slot = at[n];
      while (index.entries[slot].place >= 0) slot = slot + 1 == index.room ? 0 : slot + 1;
      index.entries[slot] = {keys[n], std::int32_t(first + n)};
    }
  }
}

inline i64 find(const Index& index, const Array& array, i64 n, u64 key, i64 slot) {
  for (;; slot = slot + 1 == index.room ? 0 : slot + 1) {
    const Entry entry = index.entries[slot];
    if (entry.place < 0) return -1;
    if (entry.key == key && (!array.ends || same(word(array, n), word(index.known, entry.place))))
      return entry.place;
  }
}

// A column of values to be looked up, and into which column of the matrix their rows go: `first` plus the
// place of a known value, `first` − 1 for one that is not known, `missing` for a null.
struct Read {
  const Index* index;
  Array array;
  i64 first, missing, into;
};

template <typename I>
void look_up(const Read* reads, i64 count, i64 size, I* out, i64 step) {
  u64 keys[GROUP];
  i64 at[GROUP];
  for (i64 tile = 0; tile < size; tile += TILE)
    for (const Read* read = reads; read < reads + count; ++read) {
      const i64 end = std::min(tile + TILE, size);
      for (i64 first = tile; first < end; first += GROUP) {
        const i64 group = std::min(GROUP, end - first);
        prepare(read->array, first, group, *read->index, keys, at);
        for (i64 n = 0; n < group; ++n) {
          const i64 row = is_valid(read->array, first + n)
              ? read->first + find(*read->index, read->array, first + n, keys[n], at[n])
              : read->missing;
          out[(first + n) * step + read->into] = I(row);
        }
      }
    }
}

// A column of words that are codes of a dictionary, whose rows are in `rows`.
template <typename I>
void take_rows(const Array& codes, const I* rows, I missing, i64 size, I* out, i64 step) {
  for (i64 n = 0; n < size; ++n) out[n * step] = is_valid(codes, n) ? rows[code(codes, n)] : missing;
}

// A column of numbers: into which column of the matrix (x − mean) / deviation goes, 0 where there is no
// finite x, and into which, unless −1, whether there is none.
struct Number {
  Array array;
  double mean, deviation;
  i64 value, flag;
};

void scale(const Number* numbers, i64 count, i64 size, float* out, i64 step) {
  for (i64 tile = 0; tile < size; tile += TILE)
    for (const Number* number = numbers; number < numbers + count; ++number) {
      const double* x = static_cast<const double*>(number->array.values) + number->array.offset;
      const i64 end = std::min(tile + TILE, size);
      for (i64 n = tile; n < end; ++n) {
        const bool known = is_valid(number->array, n) && std::isfinite(x[n]);
        out[n * step + number->value] = known ? float((x[n] - number->mean) / number->deviation) : 0.0f;
        if (number->flag >= 0) out[n * step + number->flag] = known ? 0.0f : 1.0f;
      }
    }
}

// SplitMix64, as `mix` in encoding/hashing.py.
inline u64 mix(u64 x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

// What is told of a slot whose rare ids are hidden, `share` of them, by `stream` and place.
struct Rare {
  const std::uint8_t* flags;
  i64 first, unknown;
  u64 stream;
  double share;
};

template <typename I>
inline void hide(const Rare& rare, I& row, u64 place) {
  if (rare.flags[i64(row) - rare.first] && double(mix(mix(place) ^ rare.stream)) / 0x1p64 < rare.share)
    row = I(rare.unknown);
}

// Of the rows `chosen`, which have these places in the log.
template <typename I>
void hide_all(const Rare& rare, I* rows, i64 step, const i64* offsets, const i64* chosen, const u64* places,
              i64 size) {
  for (i64 n = 0; n < size; ++n) {
    const i64 row = chosen[n];
    if (!offsets) hide(rare, rows[row * step], places[n]);
    else
      for (i64 v = offsets[row]; v < offsets[row + 1]; ++v)
        hide(rare, rows[v], mix(places[n]) + u64(v - offsets[row]));
  }
}

constexpr i64 AHEAD = 16;  // lists that are asked for before they are copied

// The lists that begin at `begins`, one after another, of values of `width` bytes; their offsets will be
// `ends` (count + 1). Returns false where they do not fit in `total`.
bool take(const char* values, i64 total, i64 width, const i64* begins, i64 count, const i64* ends,
          char* out) {
  for (i64 n = 0; n < count; ++n) {
    if (n + AHEAD < count) __builtin_prefetch(values + begins[n + AHEAD] * width);
    const i64 size = ends[n + 1] - ends[n];
    if (begins[n] < 0 || size < 0 || begins[n] + size > total || ends[n + 1] > ends[count]) return false;
    std::memcpy(out + ends[n] * width, values + begins[n] * width, std::size_t(size * width));
  }
  return true;
}

}  // namespace

extern "C" {

void build_index(const Index* index, i64 size) { build(*index, size); }

#define FOR_ROWS(I, NAME)                                                                          \
  void look_up_##NAME(const Read* reads, i64 count, i64 size, I* out, i64 step) {                  \
    look_up(reads, count, size, out, step);                                                        \
  }                                                                                                \
  void take_rows_##NAME(const Array* codes, const I* rows, i64 missing, i64 size, I* out, i64 step) { \
    take_rows(*codes, rows, I(missing), size, out, step);                                          \
  }                                                                                                \
  void hide_##NAME(const Rare* rare, I* rows, i64 step, const i64* offsets, const i64* chosen,     \
                   const u64* places, i64 size) {                                                  \
    hide_all(*rare, rows, step, offsets, chosen, places, size);                                    \
  }
FOR_ROWS(std::int32_t, i32)
FOR_ROWS(i64, i64)

void scale_numbers(const Number* numbers, i64 count, i64 size, float* out, i64 step) {
  scale(numbers, count, size, out, step);
}
i64 take_lists(const char* values, i64 total, i64 width, const i64* begins, i64 count, const i64* ends,
               char* out) {
  return take(values, total, width, begins, count, ends, out);
}
}
