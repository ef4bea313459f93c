/* Programs see a processor without AVX-512, AVX-VNNI and AMX, whatever libraries they load: for measuring AVX2 alone
 * where a library (ONNX Runtime, OpenVINO) has no switch of its own.
 *
 *     gcc -O1 -shared -fPIC -o /tmp/avx2_only.so bench/avx2_only.c
 *     LD_PRELOAD=/tmp/avx2_only.so NUMBA_CPU_NAME=haswell NUMBA_CPU_FEATURES=+avx2,+fma python ...
 *
 * Linux on x86-64 whose /proc/cpuinfo has cpuid_fault: CPUID then faults in this process and those it starts, and is
 * answered here with those bits cleared. What asks the kernel instead (/proc/cpuinfo) still sees them. Source: Intel
 * SDM, CPUID leaf 7; arch_prctl(2), ARCH_SET_CPUID. */
#define _GNU_SOURCE
#include <cpuid.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ARCH_SET_CPUID 0x1012
#define BIT(n) (1u << (n))

static struct sigaction before; /* what the program wants with faults of its own */
static int (*change)(int, const struct sigaction *, struct sigaction *);

static void answer(int number, siginfo_t *info, void *where) {
    greg_t *r = ((ucontext_t *)where)->uc_mcontext.gregs;
    const unsigned char *at = (const unsigned char *)r[REG_RIP];
    if (info->si_code != SI_KERNEL || at[0] != 0x0f || at[1] != 0xa2) { /* a fault of the program's own */
        change(number, &before, NULL);
        return;
    }
    unsigned leaf = r[REG_RAX], part = r[REG_RCX], a, b, c, d;
    syscall(SYS_arch_prctl, ARCH_SET_CPUID, 1);
    __cpuid_count(leaf, part, a, b, c, d);
    syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0);
    if (leaf == 7 && part == 0) {
        b &= ~(BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31));
        c &= ~(BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14));
        d &= ~(BIT(2) | BIT(3) | BIT(8) | BIT(22) | BIT(23) | BIT(24) | BIT(25));
    }
    if (leaf == 7 && part == 1) {
        a &= ~(BIT(4) | BIT(5) | BIT(21) | BIT(23)); /* AVX-VNNI, AVX512-BF16, AMX-FP16, AVX-IFMA */
        d &= ~(BIT(4) | BIT(5) | BIT(8) | BIT(10) | BIT(19)); /* AVX-VNNI-INT8, AVX-NE-CONVERT, AMX-COMPLEX, ..., AVX10 */
    }
    r[REG_RAX] = a, r[REG_RBX] = b, r[REG_RCX] = c, r[REG_RDX] = d;
    r[REG_RIP] += 2;
}

int sigaction(int number, const struct sigaction *action, struct sigaction *old) { /* pytest's faulthandler calls it */
    if (!change) change = (int (*)(int, const struct sigaction *, struct sigaction *))dlsym(RTLD_NEXT, "sigaction");
    if (number != SIGSEGV) return change(number, action, old);
    if (old) *old = before;
    if (action) before = *action;
    return 0;
}

__attribute__((constructor)) static void start(void) {
    struct sigaction action = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGTERM, NULL, NULL); /* finds change */
    change(SIGSEGV, &action, &before);
    if (syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0)) {
        fputs("avx2_only: CPUID can't be made to fault here\n", stderr);
        _exit(1);
    }
}
