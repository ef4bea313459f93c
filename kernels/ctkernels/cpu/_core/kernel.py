"""Jitted functions that are made machine code where Python calls them, not where compiled code does.

Numba makes every function whole: it takes in what the function calls, optimises all of that, emits machine code and two
wrappers for other callers, and all of it again in each caller, whose code is all that runs in the end. What compiled
code asks for is kept here as a *part*, LLVM's text of it, which callers take in and optimise with their own. Python's
first call of such a function, if one comes, compiles it whole.
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import cached_property
from typing import Any, Final

import llvmlite.binding as llvm
from llvmlite.binding.newpassmanagers import create_new_module_pass_manager
from numba.core import cgutils, compiler, sigutils, typing
from numba.core.caching import CompileResultCacheImpl, NullCache
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompileResult
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher
from numba.core.types.misc import unliteral

from ctkernels.cpu._core.cache import SafeCache

_ENVIRONMENT: Final = re.compile(r'^(.*)@"?_ZN08NumbaEnv', re.M)
"""The variable of a function's environment: where it is defined, nothing stands before it."""


class PartLibrary(JITCodeLibrary):  # type: ignore[misc] # Numba has no types
    """What a part is linked from: not optimised, and without machine code."""

    stands_alone = False
    """Whether it asks Python for something by its environment, whose address only machine code has."""

    def add_ir_module(self, ir_module: Any) -> None:
        text = cgutils.normalize_ir_text(str(ir_module))
        self.stands_alone |= any(_ENVIRONMENT.findall(text))
        made = llvm.parse_assembly(text)
        made.name = ir_module.name
        self.add_llvm_module(made)

    def _optimize_functions(self, ll_module: Any) -> None:
        # Values out of memory, and away what nothing uses: callers take in the less.
        ll_module.data_layout = self._codegen._data_layout
        passes = create_new_module_pass_manager()
        passes.add_sroa_pass()
        passes.add_simplify_cfg_pass()
        passes.add_refprune_pass()
        passes.add_aggressive_dce_pass()
        passes.add_global_dead_code_eliminate_pass()
        passes.run(ll_module, self._codegen._pass_builder())

    @classmethod
    def of_bits(cls, codegen: Any, name: str, bits: bytes) -> PartLibrary:
        """As one was before it was written to the disk."""
        self = cls(codegen, name)
        self._final_module = self._shared_module = llvm.parse_bitcode(bits)
        self._finalized = True
        return self

    def finalize(self) -> None:
        for library in dict.fromkeys(self._linking_libraries):
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalize_dynamic_globals()
        self._finalized = True


class PartImpl(CompileResultCacheImpl):  # type: ignore[misc]
    """How parts stand on the disk."""

    def reduce(self, made: CompileResult) -> Any:
        made.fndesc.typemap = made.fndesc.calltypes = None
        bits = made.library._get_module_for_linking().as_bitcode()
        return made.library.name, bits, made.fndesc, made.environment, made.signature

    def rebuild(self, target: Any, payload: Any) -> CompileResult:
        name, bits, fndesc, environment, signature = payload
        return CompileResult(
            typing_context=target.typing_context,
            target_context=target,
            entry_point=None,
            typing_error=None,
            type_annotation="",
            signature=signature,
            library=PartLibrary.of_bits(target.codegen(), name, bits),
            objectmode=False,
            lifted=(),
            fndesc=fndesc,
            environment=environment,
            call_helper=None,
            metadata=None,
            reload_init=(),
            referenced_envs=(),
        )


class _PartCache(SafeCache):
    _impl_class = PartImpl

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return *super()._index_key(sig, codegen), "part"


class _Entry:
    """A part's name among what Numba's target can call; Python never gets to see it."""


class Kernel(CPUDispatcher):  # type: ignore[misc]
    """Numba's dispatcher, with parts, which are made once for the types of arguments.

    Numba would compile what compiled code calls once more for every constant that it is called with (a border table for
    each mode, all of CLAHE for each grid of tiles).
    """

    is_whole = False
    """Whether compiled code takes it whole: its loops are those that the compiler found for it alone."""

    @cached_property
    def _parts(self) -> Any:
        """Parts on the disk, where there is a place for it."""
        with suppress(OSError, RuntimeError):
            return _PartCache(self.py_func)
        return NullCache()

    def get_call_template(self, args: Any, kws: Any) -> Any:
        named = {name: unliteral(value) for name, value in kws.items()}
        pysig, folded = self._compiler.fold_argument_types([unliteral(value) for value in args], named)
        if self._can_compile:
            self._ask_for_part(tuple(folded))
        name = self.py_func.__name__
        template = typing.make_concrete_template(f"CallTemplate({name})", key=name, signatures=self.nopython_signatures)
        return template, pysig, folded, {}

    def compile(self, sig: Any) -> Any:
        with global_compiler_lock:
            arguments = tuple(sigutils.normalize_signature(sig)[0])
            if _is_part(self.overloads.get(arguments)):
                del self.overloads[arguments]
            return super().compile(sig)

    def _ask_for_part(self, arguments: tuple[Any, ...]) -> None:
        with global_compiler_lock, self._compiling_counter:
            if arguments in self.overloads:
                return
            if self.is_whole:
                super().compile(arguments)
                return
            # What Python has called before is optimised already.
            made = self._cache.load_overload(arguments, self.targetctx)
            if made is not None:
                self._cache_hits[arguments] += 1
                self.targetctx.insert_user_function(made.entry_point, made.fndesc, [made.library])
                self.add_overload(made)
                return
            made = self._parts.load_overload(arguments, self.targetctx) or self._made_part(arguments)
            if made.library.stands_alone:
                super().compile(arguments)
                return
            made = made._replace(entry_point=_Entry())
            self.targetctx.insert_user_function(made.entry_point, made.fndesc, [made.library])
            self.overloads[arguments] = made

    def _made_part(self, arguments: tuple[Any, ...]) -> CompileResult:
        flags = compiler.Flags()
        self.targetdescr.options.parse_as_flags(flags, self.targetoptions)
        flags.no_cpython_wrapper = flags.no_cfunc_wrapper = flags.no_compile = True
        library = PartLibrary(self.targetctx.codegen(), self.py_func.__qualname__)
        self._cache_misses[arguments] += 1
        made = compiler.compile_extra(
            self.typingctx, self.targetctx, self.py_func, args=arguments, return_type=None, flags=flags,
            locals=self.locals, library=library,
        )  # fmt: skip
        library._ensure_finalized()
        if not library.stands_alone:
            self._parts.save_overload(arguments, made)
        return made


def load_compiler() -> None:
    """What the first function that is compiled waits for: Numba's tables of what there is to call."""
    for context in (Kernel.targetdescr.typing_context, Kernel.targetdescr.target_context):
        context.refresh()


def _is_part(made: CompileResult | None) -> bool:
    return made is not None and isinstance(made.library, PartLibrary)
