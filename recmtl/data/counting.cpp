// Distinct values of columns, counted as they come, and moments of numbers: what a GROUP BY and AVG would give, in
// one pass for many columns.

namespace {

// How often a value was met, and on which day first and last, in days since 1970.
struct Seen {
  i64 count;
  std::int32_t first, last;
};

// Values in the order in which they are met: `index.known` keeps them, ids or the bytes of strings with their
// ends. There is room for `most` of them, and for `most_bytes`.
struct Counter {
  Index index;
  Seen* seen;
  i64 size, most, bytes, most_bytes;
};

// A column of which the rows in `wanted` are counted, of one day; null for all of them. `times` says how often
// each row counts, null for once.
struct Column {
  Array array;
  const std::uint8_t* wanted;
  const i64* times;
  std::int32_t day;
};

// The place of the next value; −1 where there is no room for it.
inline i64 append(Counter& counter, const Array& array, i64 row) {
  if (counter.size == counter.most) return -1;
  void* values = const_cast<void*>(counter.index.known.values);
  if (array.ends) {
    const Word found = word(array, row);
    if (counter.bytes + found.size > counter.most_bytes) return -1;
    std::memcpy(static_cast<char*>(values) + counter.bytes, found.bytes, std::size_t(found.size));
    counter.bytes += found.size;
    const_cast<std::int32_t*>(counter.index.known.ends)[counter.size + 1] = std::int32_t(counter.bytes);
  } else {
    static_cast<i64*>(values)[counter.size] = number(array, row);
  }
  return counter.size++;
}

inline i64 place_of(Counter& counter, const Array& array, i64 row, u64 key, i64 slot) {
  const Index& index = counter.index;
  for (;; slot = slot + 1 == index.room ? 0 : slot + 1) {
    const Entry entry = index.entries[slot];
    if (entry.place < 0) break;
    if (entry.key == key && (!array.ends || same(word(array, row), word(index.known, entry.place))))
      return entry.place;
  }
  const i64 place = append(counter, array, row);
  if (place >= 0) index.entries[slot] = {key, std::int32_t(place)};
  return place;
}

// Counts rows from `begin` on; returns the row that it came to, before `size` where there was no room.
i64 count(Counter& counter, const Column& column, i64 begin, i64 size) {
  u64 keys[GROUP];
  i64 at[GROUP], places[GROUP];
  for (i64 first = begin; first < size; first += GROUP) {
    const i64 group = std::min(GROUP, size - first);
    prepare(column.array, first, group, counter.index, keys, at);
    i64 done = 0;
    for (; done < group; ++done) {
      const i64 row = first + done;
      places[done] = -1;
      if ((column.wanted && !column.wanted[row]) || !is_valid(column.array, row)) continue;
      places[done] = place_of(counter, column.array, row, keys[done], at[done]);
      if (places[done] < 0) break;
      __builtin_prefetch(counter.seen + places[done], 1);
    }
    for (i64 n = 0; n < done; ++n) {
      if (places[n] < 0) continue;
      Seen& seen = counter.seen[places[n]];
      if (!seen.count) seen.first = column.day;
      seen.count += column.times ? column.times[first + n] : 1;
      seen.last = column.day;
    }
    if (done < group) return first + done;
  }
  return size;
}

// What is added up of numbers: those that are finite, of rows that are wanted.
struct Sums {
  long double sum;
  double squares, least, most;  // squares of what lies between a number and their mean
  i64 known;
};

Sums sums_of(const Array& array, const std::uint8_t* wanted, i64 size) {
  const double* x = static_cast<const double*>(array.values) + array.offset;
  std::vector<double> kept(std::size_t(size) + 1);  // those that count, side by side: no guesses in what follows
  i64 known = 0;
  for (i64 n = 0; n < size; ++n) {
    kept[known] = x[n];
    known += i64(wanted[n] && is_valid(array, n)) & i64(std::abs(x[n]) < INFINITY);
  }
  Sums found{0.0L, 0.0, INFINITY, -INFINITY, known};
  long double sums[4] = {};
  for (i64 n = 0; n < known; ++n) sums[n % 4] += kept[n];
  found.sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  const double mean = known ? double(found.sum / known) : 0.0;
  for (i64 n = 0; n < known; ++n) {
    found.least = std::min(found.least, kept[n]);
    found.most = std::max(found.most, kept[n]);
    found.squares += (kept[n] - mean) * (kept[n] - mean);
  }
  return found;
}

}  // namespace

extern "C" {

i64 count_values(Counter* counter, const Column* column, i64 begin, i64 size) {
  return count(*counter, *column, begin, size);
}
// How often each code of a dictionary comes in the rows that are wanted.
void count_codes(const Array* codes, const std::uint8_t* wanted, i64 size, i64* times) {
  for (i64 n = 0; n < size; ++n)
    if (wanted[n] && is_valid(*codes, n)) ++times[code(*codes, n)];
}
void add_up(const Array* numbers, const std::uint8_t* wanted, i64 size, Sums* out) {
  *out = sums_of(*numbers, wanted, size);
}
}
