// MD5 of what SQL makes of a row's columns, of sixteen rows at a time: one lane of a register each (RFC 1321).

namespace {

constexpr int LANES = 16;
using u32 = std::uint32_t;
typedef u32 Lanes __attribute__((vector_size(4 * LANES)));

constexpr int TURNS[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

struct Sines {
  u32 of[64];
  Sines() {
    for (int n = 0; n < 64; ++n) of[n] = u32(std::floor(std::abs(std::sin(n + 1.0)) * 0x1p32));
  }
};
const Sines SINES;

struct Digest {
  Lanes a, b, c, d;
};

// One block of 64 bytes a lane, as 16 words of each.
inline Digest turned(const Digest& from, const Lanes* words) {
  auto [a, b, c, d] = from;
#pragma GCC unroll 64
  for (int n = 0; n < 64; ++n) {
    const int part = n / 16;
    const Lanes mixed = part == 0 ? (b & c) | (~b & d) : part == 1 ? (d & b) | (~d & c)
                      : part == 2 ? b ^ c ^ d : c ^ (b | ~d);
    const int word = part == 0 ? n : part == 1 ? (5 * n + 1) % 16 : part == 2 ? (3 * n + 5) % 16 : 7 * n % 16;
    const Lanes sum = a + mixed + words[word] + SINES.of[n];
    const int turn = TURNS[part][n % 4];
    a = d, d = c, c = b;
    b += (sum << turn) | (sum >> (32 - turn));
  }
  return {from.a + a, from.b + b, from.c + c, from.d + d};
}

// What is hashed of a row, and behind it the end that RFC 1321 asks for.
struct Text {
  std::vector<char> bytes;
  std::size_t size = 0;
};

// "=value" of each column, "-" of a null, with "|" between them; split.sql says the same. Then a bit, zeros, and
// the length in bits, to whole blocks.
void write(const Array* columns, i64 count, i64 row, Text& text) {
  std::size_t most = 72;
  for (i64 n = 0; n < count; ++n) most += 24 + (columns[n].ends ? std::size_t(word(columns[n], row).size) : 0);
  if (text.bytes.size() < most) text.bytes.resize(2 * most);
  char* const begin = text.bytes.data();
  char* end = begin;
  for (i64 n = 0; n < count; ++n) {
    if (n) *end++ = '|';
    if (!is_valid(columns[n], row)) {
      *end++ = '-';
      continue;
    }
    *end++ = '=';
    if (columns[n].ends) {
      const Word found = word(columns[n], row);
      std::memcpy(end, found.bytes, std::size_t(found.size));
      end += found.size;
    } else {
      end = std::to_chars(end, end + 20, number(columns[n], row)).ptr;
    }
  }
  const u64 bits = 8 * u64(end - begin);
  *end++ = '\x80';
  const std::size_t zeros = std::size_t(120 - (end - begin) % 64) % 64;
  std::memset(end, 0, zeros);
  std::memcpy(end + zeros, &bits, 8);
  text.size = std::size_t(end - begin) + zeros + 8;
}

// The first 48 bits of each row's hash.
void md5(const Array* columns, i64 count, i64 size, u64* out) {
  Text texts[LANES];
  for (i64 first = 0; first < size; first += LANES) {
    const int rows = int(std::min<i64>(LANES, size - first));
    std::size_t longest = 0;
    for (int lane = 0; lane < rows; ++lane) {
      write(columns, count, first + lane, texts[lane]);
      longest = std::max(longest, texts[lane].size);
    }
    const Lanes zero{};
    Digest digest{zero + 0x67452301u, zero + 0xefcdab89u, zero + 0x98badcfeu, zero + 0x10325476u};
    for (std::size_t at = 0; at < longest; at += 64) {
      Lanes words[16], open{};
      for (int lane = 0; lane < rows; ++lane) {
        if (at >= texts[lane].size) continue;
        open[lane] = ~0u;
        u32 own[16];
        std::memcpy(own, texts[lane].bytes.data() + at, sizeof own);
        for (int n = 0; n < 16; ++n) words[n][lane] = own[n];
      }
      const Digest next = turned(digest, words);
      digest = {(next.a & open) | (digest.a & ~open), (next.b & open) | (digest.b & ~open),
                (next.c & open) | (digest.c & ~open), (next.d & open) | (digest.d & ~open)};
    }
    for (int lane = 0; lane < rows; ++lane)  // bytes come in the order of the words, the lowest first
      out[first + lane] = u64(__builtin_bswap32(digest.a[lane])) << 16 | __builtin_bswap32(digest.b[lane]) >> 16;
  }
}

}  // namespace

extern "C" void md5_48(const Array* columns, i64 count, i64 size, u64* out) { md5(columns, count, size, out); }
