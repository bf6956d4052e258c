# Which instruction sets kernels are compiled for: TAPEGRAD_ISA. Its definition is public, for templates of the headers
# are compiled in users' files as well.
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
if(isa)
  set(tapegrad_isa_definition TAPEGRAD_ISA=${isa})
endif()
