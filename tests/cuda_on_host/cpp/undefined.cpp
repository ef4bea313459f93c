// Undefined behaviour that -fsanitize=undefined found: the launch is given up with the place and the kind.
// Every handler's first argument begins with the source location (GCC's ubsan ABI).
#include <cstdint>

#include "machine.hpp"

namespace {
struct Location { const char* file; uint32_t line, column; };

void report(const char* what, const void* data) {
    const auto* where = static_cast<const Location*>(data);
    if (ctk::machine.current) ctkh_trap(what, int(where->line));
}
}  // namespace

extern "C" {
#define HANDLER(NAME, WHAT) \
    void __ubsan_handle_##NAME(void* data, uintptr_t, uintptr_t) { report("undefined behaviour: " WHAT, data); }
HANDLER(add_overflow, "integer overflow in an addition")
HANDLER(sub_overflow, "integer overflow in a subtraction")
HANDLER(mul_overflow, "integer overflow in a multiplication")
HANDLER(negate_overflow, "integer overflow in a negation")
HANDLER(divrem_overflow, "division by zero or overflow in a division")
HANDLER(shift_out_of_bounds, "shift out of range")
HANDLER(out_of_bounds, "index beyond the end of an array")
HANDLER(type_mismatch_v1, "pointer that is null, misaligned or beyond its object")
HANDLER(pointer_overflow, "pointer overflow")
HANDLER(vla_bound_not_positive, "array of no size")
HANDLER(load_invalid_value, "invalid value of a bool or enum")
HANDLER(builtin_unreachable, "unreachable code reached")
HANDLER(missing_return, "function without a result")
HANDLER(float_cast_overflow, "float beyond the range of the integer it is cast to (use __float2int_rz and such)")
HANDLER(invalid_builtin, "builtin with zero")
HANDLER(nonnull_arg, "null argument")
}
