// One entry a kernel that says what arguments it takes, and calls it: CTKH_ENTRY lines stand behind the kernel source.
#pragma once
#include <type_traits>
#include <utility>

namespace ctkh_entry {
struct Text {
    char text[512];
    unsigned n;
    constexpr void put(char c) { text[n++] = c; text[n] = 0; }
};
// i, u, f, b: integer, unsigned, float, bool, each with its size in bytes; v: anything else.
template <typename T> constexpr void scalar(Text& t) {
    t.put(std::is_same_v<T, bool> ? 'b' : std::is_floating_point_v<T> ? 'f' : std::is_unsigned_v<T> ? 'u' : std::is_integral_v<T> ? 'i' : 'v');
    if constexpr (std::is_void_v<T>) t.put('0');
    else {
        if (sizeof(T) > 9) t.put(char('0' + sizeof(T) / 10));
        t.put(char('0' + sizeof(T) % 10));
    }
}
// c: pointer to const, m: to what may be written, s: by value.
template <typename T> constexpr void describe(Text& t) {
    if (t.n) t.put(',');
    if constexpr (std::is_pointer_v<T>) {
        t.put(std::is_const_v<std::remove_pointer_t<T>> ? 'c' : 'm');
        scalar<std::remove_cv_t<std::remove_pointer_t<T>>>(t);
    } else {
        t.put('s');
        scalar<T>(t);
    }
}
template <auto K> struct Kernel;
template <typename... A, void (*K)(A...)> struct Kernel<K> {
    static constexpr Text signature() {
        Text t{};
        (describe<A>(t), ...);
        return t;
    }
    template <unsigned long... I>
    __attribute__((no_sanitize("thread", "undefined"))) static void call(void** a, std::index_sequence<I...>) {
        K(*static_cast<std::remove_reference_t<A>*>(a[I])...);
    }
    __attribute__((no_sanitize("thread", "undefined"))) static void run(void** a) {
        call(a, std::index_sequence_for<A...>{});
    }
};
}  // namespace ctkh_entry

extern "C" char __ehdr_start[] __attribute__((visibility("hidden")));
extern "C" char _end[] __attribute__((visibility("hidden")));

#define CTKH_EXPORT extern "C" __attribute__((visibility("default")))
#define CTKH_ENTRY(NAME, BOUND) \
    CTKH_EXPORT void ctkh_run_##NAME(void** a) { ctkh_entry::Kernel<&NAME>::run(a); } \
    static constexpr ctkh_entry::Text ctkh_text_##NAME = ctkh_entry::Kernel<&NAME>::signature(); \
    CTKH_EXPORT const char* ctkh_signature_##NAME() { return ctkh_text_##NAME.text; } \
    CTKH_EXPORT unsigned ctkh_bound_##NAME() { return unsigned(BOUND); }
#define CTKH_IMAGE \
    CTKH_EXPORT void ctkh_image(unsigned long* r) { r[0] = (unsigned long)__ehdr_start; r[1] = (unsigned long)_end; }
