// The rows of a ring that new positions overwrite, slot = position % capacity: copied, or made 8 bits.
#include "rows.h"

namespace voxtral::cpu {
namespace {

// dim signed bytes, round(127 x / max|x|); returns their scale, max|x| / 127.
template <class T>
float quantise(const T* from, Index dim, std::int8_t* to) {
  // As bits: an infinity is above every number, a NaN above that.
  WordVec bits = {};
  for (Index d = 0; d < dim; d += kLanes) {
    const WordVec word = bits_of<WordVec>(load_part(from + d, int(least(kLanes, dim - d)))) & 0x7fffffffu;
    bits = word > bits ? word : bits;
  }
  std::uint32_t most_of = 0;
  for (int i = 0; i < kLanes; ++i) most_of = bits[i] > most_of ? bits[i] : most_of;
  const bool finite = most_of < 0x7f800000u;
  const float largest = bits_of<float>(most_of);
  const bool some = finite && largest >= 0x1p-119f;
  const float steps = some ? 127.0f / largest : 0.0f;
  for (Index d = 0; d < dim; d += kLanes) {
    const int part = int(least(kLanes, dim - d));
    const Vec shifted = load_part(from + d, part) * steps + 12582912.0f;  // 1.5 * 2^23: rounds to an integer
    const ByteVec bytes = __builtin_convertvector(bits_of<IntVec>(shifted) - 0x4b400000, ByteVec);
    __builtin_memcpy(to + d, &bytes, std::size_t(part));
  }
  return !finite ? __builtin_nanf("") : some ? largest / 127.0f : 0.0f;
}

template <class T>
void head(const RingCommitArgs& args, Index h) {
  const bool values = h >= args.heads;
  const Index head = values ? h - args.heads : h, batch = head / args.kv_heads, kv_head = head % args.kv_heads;
  const T* from = values ? static_cast<const T*>(args.v) + batch * args.v_batch + kv_head * args.v_head
                         : static_cast<const T*>(args.k) + batch * args.k_batch + kv_head * args.k_head;
  const Index from_row = values ? args.v_row : args.k_row;
  Index slots_before = batch, start = args.start, count = args.count;
  if (args.streams) {
    const std::int32_t* where = args.streams + 4 * batch;
    slots_before = where[0], start = where[1], count = where[3];
    from += where[2] * from_row;
  }
  const Index row_bytes = args.dim * Index(args.scales ? 1 : sizeof(T));
  const Index first = (values * args.ring_heads + slots_before * args.kv_heads + kv_head) * args.capacity;
  auto* to = static_cast<std::int8_t*>(args.ring) + first * row_bytes;
  // What is before is overwritten by what follows it.
  for (Index i = most(0, count - args.capacity); i < count; ++i) {
    const Index slot = (start + i) % args.capacity;
    if (args.scales) {
      args.scales[first + slot] = quantise(from + i * from_row, args.dim, to + slot * row_bytes);
    } else {
      __builtin_memcpy(to + slot * row_bytes, from + i * from_row, std::size_t(row_bytes));
    }
  }
}

void task(const RingCommitArgs& args, Index task, float*) {
  const Index last = least((task + 1) * args.heads_per_task, 2 * args.heads);
  with_type(args.dtype, [&]<class T>() {
    for (Index h = task * args.heads_per_task; h < last; ++h) head<T>(args, h);
  });
}

Index work(const RingCommitArgs& args) { return 2 * args.heads * least(args.count, args.capacity) * args.dim; }

Tasks cut(RingCommitArgs& args, Index threads) { return cut_evenly(2 * args.heads, threads, 0, args.heads_per_task); }

}  // namespace

extern const Kernel<RingCommitArgs> VOXTRAL_KERNEL(ring_commit){work, cut, task};

}  // namespace voxtral::cpu
