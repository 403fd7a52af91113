// The few declarations that metal-cpp needs, for compile checks without Apple's SDK.
#pragma once
#include <TargetConditionals.h>
#include <stddef.h>
#include <stdint.h>

typedef double CFTimeInterval;
typedef const void* CFTypeRef;
typedef signed long CFIndex;
