"""Rules that a single word settles: what C++ has and the Metal Shading Language has not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from ..frontend.tokens import IDENTIFIER, NUMBER, STRING, Token, closing, include_path
from .report import Rule, Version, Violation, rule
from .shape import names
from .structure import Unit

_RESTRICTIONS = "1.5.4"

_BANNED = {
    "goto": rule("goto", _RESTRICTIONS, "there is no goto"),
    "virtual": rule("virtual", _RESTRICTIONS, "there are no virtual functions"),
    "dynamic_cast": rule("rtti", _RESTRICTIONS, "there is no run-time type information"),
    "typeid": rule("rtti", _RESTRICTIONS, "there is no run-time type information"),
    "try": rule("exceptions", _RESTRICTIONS, "there are no exceptions"),
    "catch": rule("exceptions", _RESTRICTIONS, "there are no exceptions"),
    "throw": rule("exceptions", _RESTRICTIONS, "there are no exceptions"),
    "register": rule("storage-class", "1.5.4, 5.3", "the storage classes are static and extern"),
    "thread_local": rule("storage-class", "1.5.4, 5.3", "the storage classes are static and extern"),
    "double": rule("double", "2.1", "there is no double; float is the widest floating-point type"),
}
_NEW_DELETE = rule("new-delete", _RESTRICTIONS, "there is no new or delete")
_NOEXCEPT = rule("noexcept-operator", _RESTRICTIONS, "there is no noexcept operator")
_LONG_LONG = rule("long-long", "2.1", "there is no long long; long has 64 bits")
_HOST_TYPE = rule("host-type", "2.1, table 2.1", "a type of the host compiler, not one of Metal's scalar types")
_BFLOAT = rule("bfloat-version", "2.1", "bfloat needs Metal 3.1")
_LAMBDA = rule("lambda", _RESTRICTIONS, "lambda expressions need Metal 3.2")
_STD = rule("std", _RESTRICTIONS, "the C++ standard library is not there; Metal's own is the namespace metal")
_LIBRARY = rule("library-function", "6.2 to 6.5", "a C or C++ library function that Metal's standard library lacks")
_STAGE = rule(
    "stage-keyword",
    "5.1; Apple's message in wgpu#4904",
    "kernel, vertex and fragment are keywords, they name nothing else",
)
_REQUIRED = rule("required-threads", "5.1.3", "required_threads_per_threadgroup needs Metal 4.0")
_HEADER = rule("header", "6.1", "not a header of Metal's standard library")
_NO_HEADER = rule(
    "missing-header", "6.1, 6.7, 6.9, 6.15", "a name of Metal's standard library whose header is not included"
)  # fmt: skip

_STAGES = ("kernel", "vertex", "fragment")
_DOUBLES = frozenset(f"double{n}" for n in (2, 3, 4)) | {"float64_t"}
_HOST_TYPES = names("_Float16 __fp16 __bf16 __int128 __int128_t __uint128_t __float128 wchar_t")
_BFLOATS = frozenset(("bfloat", *(f"{p}bfloat{n}" for p in ("", "packed_") for n in (2, 3, 4))))
_LIBRARY_NAMES = names(
    "erf erff erfc erfcf tgamma lgamma cbrt cbrtf hypot hypotf expm1 expm1f log1p log1pf remainder remquo lround "
    "llround lrint llrint nearbyint logb scalbn sinf cosf tanf expf exp2f logf log2f powf sqrtf floorf ceilf "
    "fabsf fmaxf fminf tanhf printf fprintf puts malloc calloc realloc free memcpy memset memmove memcmp strlen "
    "abort exit isgreater isless qsort rand srand"
)
_METAL_HEADERS = names(
    "stdlib common integer relational math matrix simdgroup_matrix geometric compute graphics interpolate texture "
    "imageblocks pack atomic command_buffer raytracing mesh logging tensor cooperative_tensor simdgroup quadgroup "
    "numeric limits type_traits types array uniform extended_vector packed visible_function_table "
    "function_constant assert config initializer_list integral_constant"
)
_OTHER_HEADERS = ("simd/simd.h", "TargetConditionals.h")
_HEADER_OF = {  # names that follow with "(" or "<"
    "compute": re.compile(r"(simdgroup|threadgroup)_barrier"),
    "simdgroup": re.compile(
        r"simd_(sum|product|min|max|and|or|xor|all|any|ballot|is_first|shuffle|broadcast|prefix_).*"
    ),
    "simdgroup_matrix": re.compile(r"simdgroup_(load|store|multiply|matrix).*"),
    "atomic": re.compile(r"atomic_(load|store|fetch|exchange|compare).*"),
}


def check(unit: Unit, version: Version) -> Iterator[Violation]:
    """Every rule of this module over the expanded tokens."""
    tokens = unit.tokens
    own = {function.name.text for function in unit.functions}
    for i, token in enumerate(tokens):
        if token.kind != IDENTIFIER:
            if token.text == "[" and version < (3, 2) and _opens_lambda(tokens, i):
                yield _LAMBDA.at(token)
            continue
        before = tokens[i - 1].text if i else ""
        after = tokens[i + 1].text if i + 1 < len(tokens) else ""
        found = _BANNED.get(token.text) or _by_context(tokens, i, before, after)
        if token.text in _STAGES and _is_name(tokens, i):
            yield _STAGE.at(token, token.text)
        elif token.text == "required_threads_per_threadgroup" and version < (4, 0):
            yield _REQUIRED.at(token, token.text)
        if found is None and token.text in _BFLOATS and version < (3, 1):
            found = _BFLOAT
        if found is None and token.text in _LIBRARY_NAMES and after == "(" and token.text not in own:
            found = _LIBRARY if before not in (".", "->", "::") or tokens[i - 2].text == "metal" else None
        if found is not None and before not in (".", "->"):
            yield found.at(token, token.text)


def _by_context(tokens: list[Token], i: int, before: str, after: str) -> Rule | None:
    """Words that are wrong in some places only."""
    text = tokens[i].text
    if text == "new" or (text == "delete" and before != "="):
        return None if before == "operator" else _NEW_DELETE
    if text == "noexcept" and after == "(" and before not in (")", "]", "const", "override", "thread", "device"):
        return _NOEXCEPT
    if text == "long" and after == "long":
        return _LONG_LONG
    if text in _DOUBLES:
        return _BANNED["double"]
    if text in _HOST_TYPES:
        return _HOST_TYPE
    if text == "std" and (after == "::" or before == "namespace"):
        return _STD
    return None


def _is_name(tokens: list[Token], i: int) -> bool:
    """Whether a stage's word stands where a name stands: what it qualifies does not follow, and it is no attribute."""
    if i + 1 >= len(tokens):
        return False
    following, before = tokens[i + 1], tokens[i - 1].text if i else ""
    if (
        following.kind == IDENTIFIER
        or following.text == "::"
        or (before == "[" and i > 1 and tokens[i - 2].text == "[")
    ):
        return False
    attribute = following.text == "[" and i + 2 < len(tokens) and tokens[i + 2].text == "["
    return not attribute and not (before == "," and following.text in ("]", ","))


def _opens_lambda(tokens: list[Token], i: int) -> bool:
    """``[`` where an expression may start, with ``(`` or ``{`` after its ``]``: no attribute, no designator."""
    stop = closing(tokens, i)
    if tokens[i + 1].text == "[" or stop + 1 >= len(tokens) or tokens[stop + 1].text not in ("(", "{"):
        return False
    before = tokens[i - 1] if i else None
    if before is None or before.kind in (NUMBER, STRING) or before.text in (")", "]", ">", "[", "&", "&&"):
        return False
    return before.kind != IDENTIFIER or before.text in ("return", "else", "do")


def check_headers(tokens: list[Token], is_given: Callable[[str], bool]) -> Iterator[Violation]:
    """The ``#include`` lines of raw text (preprocessed text has none left)."""
    included: set[str] = set()
    for token in tokens:
        path, angled = include_path(token) or ("", True)
        stem = path.removeprefix("metal_")
        if path.startswith("metal_") and stem in _METAL_HEADERS and angled:
            included.add(stem)
        elif not angled or (path and is_given(path)):
            included.add("stdlib")  # a header of the user's own may include what is needed
        elif path and path not in _OTHER_HEADERS and not path.startswith("MetalPerformancePrimitives/"):
            yield _HEADER.at(token, f"<{path}>")
    if "stdlib" in included:
        return
    for i, token in enumerate(tokens):
        if token.kind != IDENTIFIER or (i and tokens[i - 1].text in (".", "->")):
            continue
        followed = i + 1 < len(tokens) and tokens[i + 1].text in ("(", "<")
        needed = next((h for h, names in _HEADER_OF.items() if followed and names.fullmatch(token.text)), None)
        if (token.text == "metal" and not included) or (needed is not None and needed not in included):
            yield _NO_HEADER.at(token, token.text)
            return
