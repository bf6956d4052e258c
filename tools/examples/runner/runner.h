#pragma once

/// What the build tells the runner of an example.
struct ExampleText {
  const char* name;
  const char* about;   ///< the comment it starts with, or ""
  const char* data;    ///< that it reads where it is given none, relative to the source, or ""
  const char* source;  ///< the folder of the source
};
extern const ExampleText kExample;
