# Debian packages, which cpack makes of the components of install.cmake:
#   libtapegradX.Y    both shared libraries: their sonames always change together, so that one package may hold them
#   libtapegrad-dev   headers, what find_package and pkg-config read, guide and examples
#   tapegrad          the command and its benchmark: whoever runs them needs no compiler, and of two versions of the
#                     library that are installed at once neither may bring a program of the same name
foreach(setting BUILD_SHARED_LIBS=ON TAPEGRAD_BUILD_TOOLS=ON CMAKE_SKIP_INSTALL_RPATH=ON CMAKE_INSTALL_PREFIX=/usr
                CMAKE_INSTALL_DOCDIR=share/doc/libtapegrad-dev)
  string(REGEX MATCH "(.*)=(.*)" found ${setting})
  if(NOT ${CMAKE_MATCH_1} STREQUAL CMAKE_MATCH_2 AND NOT (CMAKE_MATCH_2 STREQUAL "ON" AND ${CMAKE_MATCH_1}))
    message(FATAL_ERROR "TAPEGRAD_DEB needs ${setting}; the preset deb sets it: cmake --preset deb")
  endif()
endforeach()
foreach(program dpkg dpkg-shlibdeps file gzip)
  string(MAKE_C_IDENTIFIER ${program} variable)
  find_program(TAPEGRAD_${variable} ${program})
  if(NOT TAPEGRAD_${variable})
    message(FATAL_ERROR "Debian packages need ${program}: apt-get install dpkg-dev file gzip")
  endif()
endforeach()

get_target_property(soversion tapegrad SOVERSION)
set(package_library libtapegrad${soversion})
set(package_development libtapegrad-dev)
set(package_command tapegrad)
set(components library development command)

set(CPACK_GENERATOR DEB)
set(CPACK_COMPONENTS_ALL ${components})
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
                                                WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SOURCE ${PROJECT_NAME})
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS ON) # of exactly this version
set(CPACK_COMPONENT_DEVELOPMENT_DEPENDS library)
set(CPACK_COMPONENT_COMMAND_DEPENDS library)
# Who builds packages is their maintainer, named by the variables that Debian's own tools read.
set(maintainer "tapegrad authors <tapegrad@example.org>")
if(DEFINED ENV{DEBFULLNAME} AND DEFINED ENV{DEBEMAIL})
  set(maintainer "$ENV{DEBFULLNAME} <$ENV{DEBEMAIL}>")
endif()
set(CPACK_PACKAGE_CONTACT ${maintainer})

set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "automatic differentiation and neural networks for C++20")
set(about "tapegrad records computations and differentiates them to any order. It has
layers, optimizers, a loop that trains, files that NumPy, PyTorch and ONNX
read, and a checker of gradients.
.
")

set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_LIBRARY_DESCRIPTION
    "${about}This package holds the shared libraries. They compute matrix products by
OpenBLAS where it is installed, and by kernels of their own where it is not.")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SHLIBDEPS ON)
# What is built with the one version runs with all later ones of that soname.
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
set(triggers ${PROJECT_BINARY_DIR}/packages/triggers)
file(WRITE ${triggers} "activate-noawait ldconfig\n")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA ${triggers})
if(TAPEGRAD_BLAS STREQUAL "openblas")
  # It is loaded while a program runs: dpkg-shlibdeps sees nothing of it.
  set(CPACK_DEBIAN_LIBRARY_PACKAGE_RECOMMENDS libopenblas0)
endif()

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_DESCRIPTION
    "${about}This package holds the headers, files for CMake's find_package and for
pkg-config, the guide and the examples.")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS libfmt-dev) # tensors print with it: public headers include it
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SUGGESTS "cmake, pkg-config, libboost-test-dev, ${package_command}")
# Where Debian's users look for examples; the pages' links lead to the other place.
file(CREATE_LINK tools/examples ${PROJECT_BINARY_DIR}/packages/examples SYMBOLIC)
install(FILES ${PROJECT_BINARY_DIR}/packages/examples DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(CPACK_DEBIAN_COMMAND_PACKAGE_SECTION math)
set(CPACK_DEBIAN_COMMAND_DESCRIPTION
    "${about}This package holds the command, which trains networks, predicts with what
it has trained, checks gradients, draws graphs of computations and measures
speed.")
set(CPACK_DEBIAN_COMMAND_PACKAGE_SHLIBDEPS ON)
# Where dpkg-shlibdeps finds the libraries of the other package; no installed package has them.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS "")
foreach(target tapegrad tapegrad_gradcheck)
  get_target_property(folder ${target} BINARY_DIR)
  list(APPEND CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${folder})
endforeach()

# Each package says in a folder of its own what may be done with it, and what has changed.
file(READ LICENSE licence)
string(REGEX MATCH "Copyright \\(c\\) ([^\n]+)\n+(.*)" found "${licence}")
if(NOT found)
  message(FATAL_ERROR "LICENSE names no copyright; ${CMAKE_CURRENT_LIST_FILE} reads it there")
endif()
set(holders ${CMAKE_MATCH_1})
string(REGEX REPLACE "\n+$" "" text "${CMAKE_MATCH_2}")
string(REPLACE "\n\n" "\n.\n" text "${text}")
string(REPLACE "\n" "\n " text "${text}")
file(
  WRITE ${PROJECT_BINARY_DIR}/packages/copyright
  "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"
  "Upstream-Name: ${PROJECT_NAME}\n\nFiles: *\nCopyright: ${holders}\nLicense: Expat\n ${text}\n")
string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC) # SOURCE_DATE_EPOCH, where that is set
file(
  WRITE ${PROJECT_BINARY_DIR}/packages/changelog.Debian
  "${PROJECT_NAME} (${PROJECT_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE}) unstable; urgency=medium\n\n"
  "  * Built from the source by cpack; its CHANGELOG.md says what has changed.\n\n -- ${maintainer}  ${date}\n")
execute_process(COMMAND ${TAPEGRAD_gzip} -9nkf ${PROJECT_BINARY_DIR}/packages/changelog.Debian
                COMMAND_ERROR_IS_FATAL ANY)
foreach(component ${components})
  string(TOUPPER ${component} COMPONENT)
  set(CPACK_DEBIAN_${COMPONENT}_PACKAGE_NAME ${package_${component}})
  install(
    FILES ${PROJECT_BINARY_DIR}/packages/copyright ${PROJECT_BINARY_DIR}/packages/changelog.Debian.gz
    DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/${package_${component}}
    COMPONENT ${component})
endforeach()

include(CPack)
