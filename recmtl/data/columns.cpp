// Columns as Arrow lays them out, for the loops of the files beside this one, which are compiled behind it.

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

using i64 = std::int64_t;
using u64 = std::uint64_t;

// A column as Arrow lays it out, from its element `offset` on. `ends` are those of strings, whose bytes
// are `values`; `valid` is a bitmap, or null where no value is missing.
struct Array {
  const void* values;
  const std::int32_t* ends;
  const std::uint8_t* valid;
  i64 offset;
};

inline bool is_valid(const Array& array, i64 n) {
  const i64 bit = array.offset + n;
  return !array.valid || (array.valid[bit >> 3] >> (bit & 7)) & 1;
}

inline i64 number(const Array& array, i64 n) {
  return static_cast<const i64*>(array.values)[array.offset + n];
}

// The code of a word in a dictionary.
inline std::int32_t code(const Array& array, i64 n) {
  return static_cast<const std::int32_t*>(array.values)[array.offset + n];
}

struct Word {
  const char* bytes;
  i64 size;
};

inline Word word(const Array& array, i64 n) {
  const std::int32_t* end = array.ends + array.offset + n;
  return {static_cast<const char*>(array.values) + end[0], i64(end[1]) - end[0]};
}

}  // namespace
