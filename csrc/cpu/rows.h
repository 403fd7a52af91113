// What ops of independent rows share: a task is some rows, of elements whose type the call says.
#pragma once

#include "kernels.h"
#include "tile.h"

namespace voxtral::cpu {
namespace {

// body.operator()<T>() for the type of the elements.
template <class Body>
inline void with_type(Dtype dtype, const Body& body) {
  switch (dtype) {
    case Dtype::float32:
      return body.template operator()<float>();
    case Dtype::float16:
      return body.template operator()<Half>();
    case Dtype::bfloat16:
      return body.template operator()<Bfloat>();
  }
}

// Sets `per_task`: several tasks for each thread, as threads are held up unequally.
inline Tasks cut_evenly(Index count, Index threads, Index scratch, Index& per_task) {
  per_task = threads == 1 ? count : divide_up(count, 4 * threads);
  return {divide_up(count, per_task), scratch};
}

template <class Args>
inline Tasks cut_rows(Args& args, Index threads, Index scratch = 0) {
  return cut_evenly(args.rows, threads, scratch, args.rows_per_task);
}

// body.operator()<T>(first, last) for the rows of a task.
template <class Args, class Body>
inline void with_rows(const Args& args, Index task, const Body& body) {
  const Index first = task * args.rows_per_task, last = least(first + args.rows_per_task, args.rows);
  with_type(args.dtype, [&]<class T>() { body.template operator()<T>(first, last); });
}

}  // namespace
}  // namespace voxtral::cpu
