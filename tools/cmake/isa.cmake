# Which instruction sets kernels are compiled for: TAPEGRAD_ISA. What says so to the headers is public, for their templates
# are compiled in users' files as well: tapegrad_isa_definitions.
set(isas base avx2 avx512)
if(TAPEGRAD_ISA STREQUAL "native")
  try_run(ran compiled ${PROJECT_BINARY_DIR}/best_isa ${PROJECT_SOURCE_DIR}/tools/cmake/best_isa.cpp
          CMAKE_FLAGS -DINCLUDE_DIRECTORIES=${PROJECT_SOURCE_DIR}/tools/cmake/include -DCMAKE_CXX_STANDARD=20
          COMPILE_OUTPUT_VARIABLE log RUN_OUTPUT_VARIABLE isa)
  if(CMAKE_CROSSCOMPILING OR NOT compiled OR NOT ran EQUAL 0)
    message(FATAL_ERROR "TAPEGRAD_ISA is 'native', but what this processor has cannot be found out: ${log}")
  endif()
  message(STATUS "Kernels are compiled for ${isa} alone, the best that this processor has")
elseif(TAPEGRAD_ISA IN_LIST isas)
  set(isa ${TAPEGRAD_ISA})
elseif(NOT TAPEGRAD_ISA STREQUAL "all")
  list(JOIN isas ", " names)
  message(FATAL_ERROR "TAPEGRAD_ISA is '${TAPEGRAD_ISA}'; it can be all, native, ${names}")
endif()
set(tapegrad_isa_definitions)
if(isa)
  list(APPEND tapegrad_isa_definitions TAPEGRAD_ISA=${isa})
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  list(APPEND tapegrad_isa_definitions TAPEGRAD_WITHOUT_VECTOR_CALLS) # see ops/numbers/vector_calls.h
endif()
