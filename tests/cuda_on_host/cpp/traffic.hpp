#pragma once
#include <cstdint>
namespace ctk {
// One access of one thread, for the count of what its warp asks for at once.
void count_access(uintptr_t address, unsigned size, bool shared, bool write, bool atomic, uint32_t pc);
}
