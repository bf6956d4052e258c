# The target OpenBLAS::OpenBLAS, after find_package(OpenBLAS CONFIG). OpenBLAS's package defines it where CMake
# built OpenBLAS; where its makefiles did (Debian's package, for one) there are only variables.
if(NOT TARGET OpenBLAS::OpenBLAS)
  add_library(OpenBLAS::OpenBLAS INTERFACE IMPORTED)
  target_include_directories(OpenBLAS::OpenBLAS INTERFACE ${OpenBLAS_INCLUDE_DIRS})
  target_link_libraries(OpenBLAS::OpenBLAS INTERFACE ${OpenBLAS_LIBRARIES})
endif()
