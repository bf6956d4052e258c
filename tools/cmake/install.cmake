include(CMakePackageConfigHelpers)

set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/tapegrad)
set(header_dir ${CMAKE_INSTALL_INCLUDEDIR}/tapegrad)

# Three components, of which packages are made: library, what programs load while they run; development, what they are
# compiled and linked with; command.
install(
  TARGETS tapegrad tapegrad_gradcheck
  EXPORT tapegradTargets
  ARCHIVE COMPONENT development
  LIBRARY COMPONENT library NAMELINK_COMPONENT development)
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME development)
install(
  EXPORT tapegradTargets
  NAMESPACE tapegrad::
  DESTINATION ${config_dir})

if(TARGET tapegrad_distributed)
  install(
    TARGETS tapegrad_distributed
    EXPORT tapegradDistributedTargets
    ARCHIVE COMPONENT development
    LIBRARY COMPONENT library NAMELINK_COMPONENT development)
  install(
    EXPORT tapegradDistributedTargets
    NAMESPACE tapegrad::
    DESTINATION ${config_dir})
endif()

install(
  DIRECTORY graph ops nn optim
  DESTINATION ${header_dir}
  FILES_MATCHING
  PATTERN *.h
  PATTERN tapegrad.h EXCLUDE)
install(FILES nn/tapegrad.h DESTINATION ${header_dir})
# Of the checker its public headers; of its rooms only what these include, and the schemas of its reports.
file(GLOB gradcheck_headers CONFIGURE_DEPENDS tools/gradcheck/*.h)
install(FILES ${gradcheck_headers} tools/gradcheck/report/report.schema.json
              tools/gradcheck/report/self_test.schema.json DESTINATION ${header_dir}/gradcheck)
install(FILES tools/gradcheck/report/run_options.h DESTINATION ${header_dir}/gradcheck/report)
install(FILES tools/gradcheck/check/formula.h tools/gradcheck/check/instrumented.h
        DESTINATION ${header_dir}/gradcheck/check)

configure_package_config_file(tools/cmake/tapegradConfig.cmake.in tapegradConfig.cmake
                              INSTALL_DESTINATION ${config_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(tapegradConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(
  FILES ${PROJECT_BINARY_DIR}/tapegradConfig.cmake ${PROJECT_BINARY_DIR}/tapegradConfigVersion.cmake
  DESTINATION ${config_dir})

# Everything in the .pc file is relative to itself, so the installed tree can be moved.
file(RELATIVE_PATH pc_prefix ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
file(RELATIVE_PATH pc_includedir ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_FULL_INCLUDEDIR})
foreach(definition ${tapegrad_isa_definitions})
  string(APPEND pc_cflags " -D${definition}")
endforeach()
if(BUILD_SHARED_LIBS)
  set(pc_requires "Requires: fmt")
else()
  set(pc_requires "Requires: fmt zlib")
  string(APPEND pc_cflags " -DTAPEGRAD_STATIC")
  set(pc_libs " -Wl,--exclude-libs,libtapegrad.a")
  set(pc_gradcheck_libs " -Wl,--exclude-libs,libtapegrad_gradcheck.a")
  if(TAPEGRAD_BLAS STREQUAL "openblas")
    list(TRANSFORM CMAKE_DL_LIBS PREPEND " -l" OUTPUT_VARIABLE dl_libs)
    string(APPEND pc_libs "${dl_libs}")
  endif()
endif()
foreach(package tapegrad tapegrad_gradcheck)
  configure_file(tools/cmake/${package}.pc.in ${package}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${package}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()

if(TAPEGRAD_BUILD_TOOLS)
  file(RELATIVE_PATH libdir_of_bin ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
  set(programs tapegrad_cli tapegrad_gradcheck_cli tapegrad_bench bench_startup_tapegrad)
  if(TARGET tapegrad_mpi)
    list(APPEND programs tapegrad_mpi)
  endif()
  set_target_properties(${programs} PROPERTIES INSTALL_RPATH $ORIGIN/${libdir_of_bin})
  install(TARGETS ${programs} COMPONENT command)
endif()

# Laid out as in the source, so that links between the pages hold.
if(NOT TAPEGRAD_DEB)
  install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)
endif()
install(FILES README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY tools/docs/guide DESTINATION ${CMAKE_INSTALL_DOCDIR}/tools/docs)
install(DIRECTORY tools/bench/charts DESTINATION ${CMAKE_INSTALL_DOCDIR}/tools/bench)
install(
  DIRECTORY tools/examples
  DESTINATION ${CMAKE_INSTALL_DOCDIR}/tools
  FILES_MATCHING
  PATTERN *.cpp
  PATTERN runner EXCLUDE)

if(TAPEGRAD_DEB)
  include(tools/cmake/packages.cmake)
endif()
