// One execution context per CUDA thread: a stack, and a switch that saves the callee-saved registers only.
#pragma once
#include <cstddef>
#include <cstdint>

#include <sys/mman.h>

namespace ctk {
constexpr std::size_t STACK_BYTES = 64 * 1024;
constexpr std::size_t SPARE_BYTES = 64 * 1024;   // below the stack: what an overflow may spoil before it is seen
constexpr std::size_t SPREAD_BYTES = 16 * 1024;  // over which stacks begin, or all would lie in the same lines of the cache
constexpr std::size_t MOST_THREADS = 1024;

// The stack of one of a block's threads. All lie side by side, in large pages where there are some: a switch to each
// of a thousand pages would be a thousand look-ups of where they are.
inline char* stack_of(unsigned thread) {
    constexpr std::size_t EACH = SPARE_BYTES + STACK_BYTES, ALL = EACH * MOST_THREADS;
    static char* const all = [] {
        void* p = mmap(nullptr, ALL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED) return static_cast<char*>(nullptr);
        madvise(p, ALL, MADV_HUGEPAGE);
        return static_cast<char*>(p);
    }();
    return all ? all + thread * EACH + SPARE_BYTES : nullptr;
}

#if defined(__x86_64__) && !defined(CTKH_UCONTEXT)
struct Context { void* sp = nullptr; };
extern "C" void ctkh_switch_stack(void** save, void* to);

inline void make_context(Context& c, char* stack, std::size_t unused, void (*entry)()) {
    void** p = reinterpret_cast<void**>((reinterpret_cast<uintptr_t>(stack) + STACK_BYTES - unused) & ~uintptr_t(15));
    *--p = nullptr;  // where entry would return to; keeps the stack aligned as after a call
    *--p = reinterpret_cast<void*>(entry);
    for (int i = 0; i < 6; i++) *--p = nullptr;
    c.sp = p;
}
inline void switch_context(Context& from, Context& to) { ctkh_switch_stack(&from.sp, to.sp); }
#else
}
#include <ucontext.h>
namespace ctk {
struct Context { ucontext_t u; };

inline void make_context(Context& c, char* stack, std::size_t unused, void (*entry)()) {
    getcontext(&c.u);
    c.u.uc_stack.ss_sp = stack;
    c.u.uc_stack.ss_size = STACK_BYTES - unused;
    c.u.uc_link = nullptr;
    makecontext(&c.u, entry, 0);
}
inline void switch_context(Context& from, Context& to) { swapcontext(&from.u, &to.u); }
#endif
}  // namespace ctk

#if defined(__x86_64__) && !defined(CTKH_UCONTEXT) && defined(CTKH_FIBERS_HERE)
asm(".text\n.globl ctkh_switch_stack\n.hidden ctkh_switch_stack\n.type ctkh_switch_stack,@function\nctkh_switch_stack:\n"
    " pushq %rbp\n pushq %rbx\n pushq %r12\n pushq %r13\n pushq %r14\n pushq %r15\n"
    " movq %rsp,(%rdi)\n movq %rsi,%rsp\n"
    " popq %r15\n popq %r14\n popq %r13\n popq %r12\n popq %rbx\n popq %rbp\n ret\n"
    ".size ctkh_switch_stack,.-ctkh_switch_stack\n");
#endif
