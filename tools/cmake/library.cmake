# What our own targets are built with. It is linked privately and never exported: users get none of it.
add_library(tapegrad_flags INTERFACE)
target_compile_options(
  tapegrad_flags
  INTERFACE -Wall
            -Wextra
            -Wpedantic
            -Wconversion
            -Wshadow
            # Clang's -Wconversion asks for more than GCC's.
            $<$<CXX_COMPILER_ID:Clang,AppleClang>:-Wno-sign-conversion>
            # What a shared library exports may be inlined within it, too: nobody puts another one in its place.
            -fno-semantic-interposition
            # Behind the flags of a user's project that builds this one: the library looks at NaN, infinities, signs of
            # zeros and rounding.
            -fno-fast-math
            -fno-unsafe-math-optimizations
            -fno-finite-math-only
            -fno-associative-math
            -fno-reciprocal-math
            -fsigned-zeros
            # GCC 12 takes std::string's operator+ for an overlapping copy (its bug 105651).
            $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
            # GCC looks for memory to free from half a GB on, a tenth of its time otherwise.
            "$<$<CXX_COMPILER_ID:GNU>:SHELL:--param ggc-min-heapsize=524288>"
            $<$<BOOL:${TAPEGRAD_WERROR}>:-Werror>)

set(sanitizers_address address,undefined)
set(sanitizers_thread thread)
set(sanitizers_fuzzer fuzzer-no-link,address,undefined)
if(TAPEGRAD_SANITIZE)
  if(NOT DEFINED sanitizers_${TAPEGRAD_SANITIZE})
    message(FATAL_ERROR "TAPEGRAD_SANITIZE is '${TAPEGRAD_SANITIZE}'; it can be address, thread, fuzzer or empty")
  endif()
  set(sanitize -fsanitize=${sanitizers_${TAPEGRAD_SANITIZE}})
  target_compile_options(tapegrad_flags INTERFACE ${sanitize} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_compile_definitions(tapegrad_flags INTERFACE _GLIBCXX_ASSERTIONS)
  target_link_options(tapegrad_flags INTERFACE ${sanitize})
endif()

# The same for tests and programs. They are long to compile under sanitizers and short to run: these checks of every
# pointer are a quarter of that time and half of their code, and a null pointer is found without them. The library is
# compiled with all. What is to be turned off has to stand behind what turns it on.
add_library(tapegrad_fewer_checks INTERFACE)
if(TAPEGRAD_SANITIZE STREQUAL "address")
  target_compile_options(tapegrad_fewer_checks INTERFACE -O0 -fno-sanitize=null,alignment,vptr,object-size)
endif()
add_library(tapegrad_program_flags INTERFACE)
target_link_libraries(tapegrad_program_flags INTERFACE tapegrad_flags tapegrad_fewer_checks)

# tapegrad_precompile(TARGET PRIVATE HEADER): a header is parsed once for all files of a target; REUSE_FROM OTHER: as it
# is parsed for another target, which is compiled by the same options.
function(tapegrad_precompile target)
  target_precompile_headers(${target} ${ARGN})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # ccache asks for it where a header is compiled beforehand.
    target_compile_options(${target} PRIVATE -fpch-preprocess)
  endif()
endfunction()

# tapegrad_precompile_standard(TARGET [REUSE_FROM OTHER]): the standard library's headers, where
# TAPEGRAD_PRECOMPILED_HEADERS asks for it. Else builds of one tree share the objects of libraries and of the command in a
# compiler cache, which keeps none across precompiled headers.
function(tapegrad_precompile_standard target)
  if(NOT TAPEGRAD_PRECOMPILED_HEADERS)
    return()
  endif()
  if(ARGN)
    tapegrad_precompile(${target} ${ARGN})
  else()
    tapegrad_precompile(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tools/cmake/precompiled.h)
  endif()
endfunction()

# tapegrad_add_library(NAME SOURCE...): a library of this project, static or shared as BUILD_SHARED_LIBS says. Its objects
# are the same for both, so that a compiler cache that has the ones has the others.
function(tapegrad_add_library name)
  add_library(${name} ${ARGN})
  set_target_properties(
    ${name}
    PROPERTIES VERSION ${PROJECT_VERSION}
               SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
               DEFINE_SYMBOL ""
               POSITION_INDEPENDENT_CODE ON
               CXX_EXTENSIONS OFF
               CXX_VISIBILITY_PRESET hidden
               VISIBILITY_INLINES_HIDDEN ON)
  if(TAPEGRAD_SANITIZE STREQUAL "address")
    # Here files are compiled as in a user's project, one by one: each has to include what it needs.
    set_target_properties(${name} PROPERTIES UNITY_BUILD OFF)
  endif()
  target_compile_features(${name} PUBLIC cxx_std_20)
  target_include_directories(${name} PUBLIC $<BUILD_INTERFACE:${tapegrad_include_dir}>
                                            $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_definitions(${name} PRIVATE TAPEGRAD_BUILDING)
  target_link_libraries(${name} PRIVATE $<BUILD_INTERFACE:tapegrad_flags>)
  tapegrad_precompile_standard(${name})
  if(BUILD_SHARED_LIBS)
    # The standard library's templates are visible whatever the preset says; the map keeps ours alone.
    set(map ${PROJECT_SOURCE_DIR}/tools/cmake/exports.map)
    target_link_options(${name} PRIVATE LINKER:--version-script=${map})
    set_target_properties(${name} PROPERTIES LINK_DEPENDS ${map} INSTALL_RPATH $ORIGIN)
  else()
    # A user's plug-in exports nothing of what it links statically.
    target_compile_definitions(${name} INTERFACE TAPEGRAD_STATIC)
    target_link_options(${name} INTERFACE LINKER:--exclude-libs,lib${name}.a)
  endif()
endfunction()
