#include "metal/macros.h"
